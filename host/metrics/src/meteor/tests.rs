use super::matches::Match;
use super::normalize::{is_delimiter, normalize};
use super::*;
use proptest::prelude::*;

fn lexicon() -> Arc<MeteorLexicon> {
    let files = MeteorFiles {
        function_words: "a\nthe\non\nof\nin\nis\n",
        prefixes: "# titles\nmr\npp #NUMERIC_ONLY#\n",
        exceptions: "child\nchildren\nbe\nis was\n",
        synsets: "child\n1 2\nkid\n2 7\nbox\n3\ncarton\n3\nrun\n5\njog\n5\nbe\n9\n",
    };
    Arc::new(MeteorLexicon::from_bytes(MeteorLexicon::index(&files).unwrap()).unwrap())
}

const PARAPHRASES: &str =
    "0.5\nin front of\noutside\n0.1\nin front of\nbefore the\n0.2\nbefore\nin front of\n0.3\nin\ninside of\n";

fn table() -> Arc<ParaphraseTable> {
    Arc::new(ParaphraseTable::from_bytes(ParaphraseTable::index(PARAPHRASES.as_bytes()).unwrap()).unwrap())
}

fn meteor() -> Meteor {
    Meteor::new(lexicon(), Some(table()))
}

fn statistics(hypothesis: &str, reference: &str) -> MeteorStatistics {
    let meteor = meteor();
    meteor.statistics(hypothesis, &meteor.prepare(&[reference]))
}

#[test]
fn text_is_normalised_as_by_the_reference() {
    // What the jar of METEOR 1.5 makes of these, but for the list of abbreviations, which is this file's.
    for (text, expected) in [
        ("a dog", "a dog"),
        ("A t-shirt, red.", "a t shirt , red ."),
        ("3,000 or 3, or a,b", "3,000 or 3 , or a , b"),
        ("u.s. mr. Jones pp. 5 pp. x end.", "us mr. jones pp. 5 pp. x end ."),
        ("wait... what..", "wait ... what .."),
        ("don't 'tis dogs' 1990's 5'", "don 't ' tis dogs ' 1990 's 5 '"),
        ("`` stop ''", "\" stop \""),
        ("a--b – c", "a b - c"),
        ("50%(x)\u{a0}y", "50 % ( x ) y"),
        ("", ""),
    ] {
        let normal = normalize(text, &lexicon());
        let words: Vec<&str> = normal.split(is_delimiter).filter(|w| !w.is_empty()).collect();
        assert_eq!(words.join(" "), expected, "{text}");
    }
}

#[test]
fn each_matcher_finds_its_kind() {
    for (hypothesis, reference, module) in [
        ("zebra", "zebra", 0),
        ("running", "runs", 1),
        ("kid", "child", 2),
        // By the base form of an irregular and of a regular plural.
        ("kid", "children", 2),
        ("cartons", "box", 2),
        ("outside", "in front of", 3),
        // Both directions of the table.
        ("in front of", "before", 3),
    ] {
        let found = statistics(hypothesis, reference);
        let total = |of: [u64; 2]| of[0] + of[1];
        for other in 0..4 {
            let matched = total(found.content_matches[other]) + total(found.function_matches[other]);
            assert_eq!(matched > 0, other == module, "{hypothesis} / {reference}, module {other}: {found:?}");
        }
        assert_eq!(found.chunks, 1);
    }
}

#[test]
fn the_score_is_the_formula() {
    // "a" and "the" are function words (weight 1/4), "dog" matches by 3/4 in both directions.
    let found = statistics("a dog", "the dog");
    let (precision, recall) = (0.75, 0.75);
    let mean: f64 = 1.0 / (0.15 / precision + 0.85 / recall);
    assert!((found.score() - mean * 0.4).abs() < 1e-15, "{}", found.score());
    // The same caption has no penalty, however many words.
    assert_eq!(statistics("a dog on a dog", "a dog on a dog").score(), 1.0);
    for (hypothesis, reference) in [("", "a dog"), ("a dog", ""), ("", ""), ("cat", "dog")] {
        assert_eq!(statistics(hypothesis, reference).score(), 0.0, "`{hypothesis}` / `{reference}`");
    }
}

#[test]
fn a_corpus_pools_statistics_and_does_not_count_whole_captions() {
    let meteor = meteor();
    let references = [vec!["a dog"], vec!["the man runs", "a man"]];
    let scores = meteor.evaluate(&["a dog", "man runs a"], &references).unwrap();
    assert_eq!(scores.name, "METEOR");
    assert_eq!(scores.per_image[0], 1.0);
    let mut total = scores.statistics[0];
    assert_eq!(total.chunks, 1);
    total = MeteorStatistics::default();
    scores.statistics.iter().for_each(|s| total += *s);
    assert_eq!(total.chunks, scores.statistics[1].chunks);
    assert_eq!(scores.corpus, total.score());
    let error = meteor.evaluate(&["a"], &[Vec::<&str>::new()]).unwrap_err();
    assert_eq!(error, MetricsError::NoReferences { image: 0 });
}

#[test]
fn fewer_matchers_have_another_name() {
    let without_table = Meteor::new(lexicon(), None);
    assert_eq!(without_table.modules().name(), "METEOR_exact_stem_synonym");
    assert_eq!(without_table.limited_to(MeteorModules::All).modules(), MeteorModules::ExactStemSynonym);
    let exact = meteor().limited_to(MeteorModules::Exact);
    assert_eq!(exact.score("kid", &exact.prepare(&["child"])), 0.0);
    assert_eq!(exact.evaluate(&["kid"], &[vec!["child"]]).unwrap().name, "METEOR_exact");
}

#[test]
fn damaged_data_is_an_error_and_never_a_panic() {
    let files = MeteorFiles { function_words: "", prefixes: "", exceptions: "", synsets: "dog\none\n" };
    let error = MeteorLexicon::index(&files).unwrap_err().to_string();
    assert!(error.contains("english.synsets") && error.contains("`one`"), "{error}");
    for (text, place) in
        [("0.5\nphrase\n", "line 3"), ("0.5\n \nphrase\n", "line 2"), ("0.5\na\n\n", "line 3")]
    {
        let error = ParaphraseTable::index(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(place), "{error}");
    }
    let index = ParaphraseTable::index("0.5\na b\nc\n".as_bytes()).unwrap();
    for cut in 0..index.len() {
        assert!(ParaphraseTable::from_bytes(index[..cut].to_vec()).is_err());
    }
    // A flipped byte within may change what is found, but nothing breaks.
    for at in 0..index.len() {
        let mut bytes = index.clone();
        bytes[at] ^= 0xff;
        if let Ok(table) = ParaphraseTable::from_bytes(bytes) {
            let meteor = Meteor::new(lexicon(), Some(Arc::new(table)));
            meteor.score("a b c", &meteor.prepare(&["c d a b"]));
        }
    }
}

/// The search as one would write it down first: alignments are copied, sorted, and cut off.
mod slow {
    use super::*;
    use crate::meteor::matches::Matches;
    use std::cmp::Reverse;

    #[derive(Clone)]
    struct Partial {
        chosen: Vec<Option<Match>>,
        used: Vec<bool>,
        counted: [u32; 2],
        chunks: u32,
        distance: u32,
        next: usize,
        last_end: Option<u32>,
    }

    impl Partial {
        fn add(&mut self, m: Match) {
            let share = |length: u32| if m.module == 0 { f64::from(length) } else { 0.5 * f64::from(length) };
            self.counted[0] = (f64::from(self.counted[0]) + share(m.match_length)) as u32;
            self.counted[1] = (f64::from(self.counted[1]) + share(m.length)) as u32;
            if self.last_end.is_some_and(|end| end != m.match_start) {
                self.chunks += 1;
            }
            self.next = (m.start + m.length) as usize;
            self.last_end = Some(m.match_start + m.match_length);
            self.chosen[m.start as usize] = Some(m);
            for word in m.match_start..m.match_start + m.match_length {
                self.used[word as usize] = true;
            }
        }

        fn key(&self) -> impl Ord + use<> {
            (Reverse(self.counted[0] + self.counted[1]), self.chunks, self.distance)
        }
    }

    pub fn chosen(matches: &Matches, hypothesis: usize, reference: usize) -> Vec<Match> {
        let alone = |list: &Vec<Match>| {
            let [m] = list[..] else { return None };
            let covered = |side: usize, start, length| {
                (start..start + length).all(|w: u32| matches.coverage[side][w as usize] == 1)
            };
            (covered(0, m.match_start, m.match_length) && covered(1, m.start, m.length)).then_some(m)
        };
        let start = Partial {
            chosen: vec![None; reference],
            used: vec![false; hypothesis],
            counted: [0; 2],
            chunks: 0,
            distance: 0,
            next: 0,
            last_end: None,
        };
        let mut beam = vec![start];
        for i in 0..reference {
            beam.sort_by_key(Partial::key);
            beam.truncate(40);
            let mut next = Vec::new();
            for mut partial in beam {
                if partial.next > i {
                    next.push(partial);
                    continue;
                }
                if let Some(m) = alone(&matches.by_start[i]) {
                    partial.add(m);
                    partial.distance += m.start.abs_diff(m.match_start);
                    next.push(partial);
                    continue;
                }
                for m in &matches.by_start[i] {
                    if (m.match_start..m.match_start + m.match_length).all(|w| !partial.used[w as usize]) {
                        let mut other = partial.clone();
                        other.add(*m);
                        next.push(other);
                        partial.distance += m.start.abs_diff(m.match_start);
                    }
                }
                partial.chunks += u32::from(partial.last_end.take().is_some());
                partial.next = i + 1;
                next.push(partial);
            }
            beam = next;
        }
        beam.sort_by_key(Partial::key);
        beam.truncate(40);
        for partial in &mut beam {
            partial.chunks += u32::from(partial.last_end.is_some());
        }
        beam.sort_by_key(Partial::key);
        beam[0].chosen.iter().flatten().copied().collect()
    }
}

/// Words matched at most, and with how few chunks then, over all alignments of equal words: the rest of the
/// reference from `i`, with these words of the hypothesis taken and the last match behind `last`.
fn brute_force(hypothesis: &[usize], reference: &[usize], taken: u32, last: Option<usize>) -> (usize, usize) {
    let [word, rest @ ..] = reference else { return (0, 0) };
    let skip = brute_force(hypothesis, rest, taken, None);
    let takes = (0..hypothesis.len()).filter(|j| hypothesis[*j] == *word && taken & 1 << j == 0).map(|j| {
        let (matched, chunks) = brute_force(hypothesis, rest, taken | 1 << j, Some(j));
        (matched + 1, chunks + usize::from(j == 0 || last != Some(j - 1)))
    });
    takes.fold(skip, |best, other| if (other.0, best.1) > (best.0, other.1) { other } else { best })
}

const WORDS: [&str; 14] = [
    "a", "the", "dog", "dogs", "kid", "child", "children", "in", "front", "of", "outside", "before", "run",
    "running",
];

/// The matches of each word of the reference, pair by pair.
fn slow_matches(hypothesis: &[&str], reference: &[&str]) -> Vec<Vec<Match>> {
    let mut matches = vec![vec![]; reference.len()];
    let mut push = |start: usize, length: usize, match_start: usize, match_length: usize, module| {
        let [at, length, match_start, match_length] =
            [start, length, match_start, match_length].map(|number| number as u32);
        matches[start].push(Match { start: at, length, match_start, match_length, module });
    };
    if hypothesis == reference {
        (0..reference.len()).for_each(|i| push(i, 1, i, 1, 0));
        return matches;
    }
    let stemmer = rust_stemmers::Stemmer::create(rust_stemmers::Algorithm::English);
    let lexicon = lexicon();
    let synonyms = |a: &str, b: &str| lexicon.synsets(a).iter().any(|set| lexicon.synsets(b).contains(set));
    for module in 0..3 {
        for (i, a) in reference.iter().enumerate() {
            for (j, b) in hypothesis.iter().enumerate() {
                let like = match module {
                    0 => a == b,
                    1 => a != b && stemmer.stem(a) == stemmer.stem(b),
                    _ => a != b && synonyms(a, b),
                };
                if like {
                    push(i, 1, j, 1, module);
                }
            }
        }
    }
    let lines: Vec<Vec<&str>> = PARAPHRASES.lines().map(|line| line.split(' ').collect()).collect();
    for (of, within, of_reference) in [(reference, hypothesis, true), (hypothesis, reference, false)] {
        for start in 0..of.len() {
            let mut pairs: Vec<_> =
                lines.chunks(3).filter(|pair| of[start..].starts_with(&pair[1])).collect();
            pairs.sort_by_key(|pair| pair[1].len());
            for [_, phrase, paraphrase] in pairs.iter().filter_map(|pair| pair.first_chunk()) {
                let (length, other_length) = (phrase.len(), paraphrase.len());
                for other in (0..within.len()).filter(|other| within[*other..].starts_with(paraphrase)) {
                    match of_reference {
                        true => push(start, length, other, other_length, 3),
                        false => push(other, other_length, start, length, 3),
                    }
                }
            }
        }
    }
    matches
}

proptest! {
    #[test]
    fn the_matches_are_the_slow_ones(
        hypothesis in proptest::collection::vec(0usize..14, 0..80),
        reference in proptest::collection::vec(0usize..14, 0..30),
        another in proptest::collection::vec(0usize..14, 0..10),
    ) {
        let [hypothesis, reference, another] = [hypothesis, reference, another].map(|c| c.iter().map(|w| WORDS[*w]).collect::<Vec<_>>());
        let meteor = meteor();
        let read = |words: &[&str]| meteor.reader.sentence(&words.join(" "));
        let (of, references) = (read(&hypothesis), [read(&another), read(&reference)]);
        let mut search = Search::default();
        search.index.fill(&of, &references, meteor.matchers());
        for (sentence, words) in references.iter().zip([another, reference]) {
            search.matches.find(&of, &search.index, sentence, meteor.matchers());
            prop_assert_eq!(&search.matches.by_start[..words.len()], slow_matches(&hypothesis, &words));
        }
    }

    #[test]
    fn short_captions_are_aligned_as_well_as_can_be(
        hypothesis in proptest::collection::vec(0usize..4, 0..6),
        reference in proptest::collection::vec(0usize..4, 0..6),
    ) {
        let text = |words: &[usize]| words.iter().map(|w| ["ant", "bee", "cow", "dog"][*w]).collect::<Vec<_>>().join(" ");
        let meteor = meteor().limited_to(MeteorModules::Exact);
        let statistics = meteor.statistics(&text(&hypothesis), &meteor.prepare(&[text(&reference)]));
        let (matched, chunks) = brute_force(&hypothesis, &reference, 0, None);
        prop_assert_eq!(statistics.matched(), [matched as u64; 2]);
        prop_assert_eq!(statistics.chunks, chunks as u64);
    }

    #[test]
    fn the_search_is_the_slow_one(
        hypothesis in proptest::collection::vec(0usize..14, 0..80),
        reference in proptest::collection::vec(0usize..14, 0..30),
    ) {
        let text = |words: &[usize]| words.iter().map(|w| WORDS[*w]).collect::<Vec<_>>().join(" ");
        let meteor = meteor();
        let (hypothesis, reference) = (meteor.reader.sentence(&text(&hypothesis)), meteor.reader.sentence(&text(&reference)));
        let mut search = Search::default();
        search.index.fill(&hypothesis, std::slice::from_ref(&reference), meteor.matchers());
        search.matches.find(&hypothesis, &search.index, &reference, meteor.matchers());
        let expected = slow::chosen(&search.matches, hypothesis.len(), reference.len());
        let expected = MeteorStatistics::new(&hypothesis, &reference, &expected);
        prop_assert_eq!(search.align(&hypothesis, &reference), expected);
    }
}
