//! Where METEOR's data comes from: what a user names, or the wheel of `pycocoevalcap`, which holds the
//! reference's jar and paraphrase table. Prepared once into indexes in the cache folder.

use super::{Meteor, MeteorFiles, MeteorLexicon, ParaphraseTable, table::hash};
use crate::error::MetricsError;
use ekphrasis_fetch::{Wheel, write_whole};
use flate2::read::GzDecoder;
use std::env;
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The jar or its folder, where a user has one.
const VARIABLE: &str = "EKPHRASIS_METEOR";

const JAR: &str = "meteor-1.5.jar";
const PARAPHRASES: &str = "data/paraphrase-en.gz";

const WHEEL: Wheel<'_> = Wheel {
    title: "METEOR's data, pycocoevalcap",
    package: "pycocoevalcap",
    version: "1.2",
    size: 104_312_215,
    platform: &[],
    instead: "set EKPHRASIS_METEOR to a meteor-1.5.jar with data/paraphrase-en.gz beside it, or leave METEOR out",
};

/// What is taken from the wheel, with its SHA-256.
const PINNED: [(&str, &str); 2] = [
    (JAR, "1e57b4c72c0830ebe68558f1c799a624e96cbc1b6045c9f6330e26dcff6eafc2"),
    (PARAPHRASES, "c147ac7d2c91f2fbb3ad31e4b352235061eb83145e0434daf217ee9ca5975f48"),
];

/// METEOR's words, and its paraphrases where there is a table.
#[derive(Debug, Clone)]
pub struct MeteorData {
    /// Function words, synonyms and the like.
    pub lexicon: Arc<MeteorLexicon>,
    /// Paraphrases. Without them only `METEOR_exact_stem_synonym` can be computed.
    pub paraphrases: Option<Arc<ParaphraseTable>>,
}

/// Files of the reference implementation.
struct Source {
    jar: PathBuf,
    paraphrases: Option<PathBuf>,
}

impl MeteorData {
    /// Finds METEOR's data: what `EKPHRASIS_METEOR` names (`meteor-1.5.jar` or its folder, `data/paraphrase-en.gz`
    /// beside it), what was fetched before, or else the pinned wheel of `pycocoevalcap` (104 MB), unless `offline`
    /// forbids that. Indexes of it (50 MB) are kept in the cache folder and load in a few hundredths of a second.
    ///
    /// `say` gets a line when something takes long, and when there is no paraphrase table.
    ///
    /// # Errors
    /// If there is none and it may not be fetched; if what the user names is not METEOR's data; if fetching or
    /// writing to the cache fails. Each with a hint.
    pub fn open(cache: &Path, offline: bool, say: &dyn Fn(&str)) -> Result<Self, MetricsError> {
        match env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
            Some(path) => Self::named(Path::new(&path), cache, say),
            None => Self::fetched(cache, offline, say),
        }
    }

    /// Whether [`open`](Self::open) has nothing to fetch and nothing to prepare from the network.
    pub fn is_at_hand(cache: &Path) -> bool {
        env::var_os(VARIABLE).is_some_and(|value| !value.is_empty())
            || lexicon_index(&fetched_folder(cache)).is_file()
    }

    /// METEOR with this data.
    pub fn meteor(&self) -> Meteor {
        Meteor::new(self.lexicon.clone(), self.paraphrases.clone())
    }

    /// From a jar or its folder that a user names.
    fn named(path: &Path, cache: &Path, say: &dyn Fn(&str)) -> Result<Self, MetricsError> {
        let source = Source::at(path)?;
        let folder = cache.join(format!("meteor-{:016x}", hash(source.fingerprint()?.as_bytes())));
        let loaded = load(&folder, source.paraphrases.is_some());
        let data = loaded.map_or_else(|| prepare(&source, &folder, say), Ok)?;
        if data.paraphrases.is_none() {
            say(&format!(
                "{}: no {PARAPHRASES} beside it; scores are METEOR_exact_stem_synonym, not METEOR",
                source.jar.display()
            ));
        }
        Ok(data)
    }

    /// From the wheel.
    fn fetched(cache: &Path, offline: bool, say: &dyn Fn(&str)) -> Result<Self, MetricsError> {
        let folder = fetched_folder(cache);
        if let Some(data) = load(&folder, true) {
            return Ok(data);
        }
        if offline {
            return Err(MetricsError::NoMeteorData { cache: cache.display().to_string() });
        }
        WHEEL.fetch(
            cache,
            || load(&folder, true),
            |wheel| {
                for (name, sha256) in PINNED {
                    let in_wheel = format!("pycocoevalcap/meteor/{name}");
                    wheel.unpack(|file| file == in_wheel, sha256, &wheel.folder().join(name))?;
                }
                prepare(&Source::at(wheel.folder())?, &folder, say)
            },
            say,
        )
    }
}

fn fetched_folder(cache: &Path) -> PathBuf {
    cache.join(format!("meteor-{}-{}", WHEEL.package, WHEEL.version))
}

fn lexicon_index(folder: &Path) -> PathBuf {
    folder.join("words.index")
}

fn paraphrase_index(folder: &Path) -> PathBuf {
    folder.join("paraphrases.index")
}

/// Data prepared before. `None` also for indexes of another version, or damaged ones.
fn load(folder: &Path, with_paraphrases: bool) -> Option<MeteorData> {
    let lexicon = MeteorLexicon::from_bytes(fs::read(lexicon_index(folder)).ok()?).ok()?;
    let paraphrases = match with_paraphrases {
        true => Some(ParaphraseTable::from_bytes(fs::read(paraphrase_index(folder)).ok()?).ok()?),
        false => None,
    };
    Some(MeteorData { lexicon: Arc::new(lexicon), paraphrases: paraphrases.map(Arc::new) })
}

/// Writes the indexes of files of the reference implementation. That of the words comes last: where it is, the
/// other one is too.
fn prepare(source: &Source, folder: &Path, say: &dyn Fn(&str)) -> Result<MeteorData, MetricsError> {
    say(&format!("preparing METEOR's data once into {}", folder.display()));
    let lexicon = source.lexicon()?;
    let paraphrases = source.paraphrases.as_deref().map(paraphrases).transpose()?;
    if let Some(index) = &paraphrases {
        write_whole(&paraphrase_index(folder), index)?;
    }
    write_whole(&lexicon_index(folder), &lexicon)?;
    Ok(MeteorData {
        lexicon: Arc::new(MeteorLexicon::from_bytes(lexicon)?),
        paraphrases: paraphrases.map(ParaphraseTable::from_bytes).transpose()?.map(Arc::new),
    })
}

fn unusable(path: &Path, message: impl ToString) -> MetricsError {
    MetricsError::MeteorSource { path: path.display().to_string(), message: message.to_string() }
}

fn paraphrases(path: &Path) -> Result<Vec<u8>, MetricsError> {
    let file = File::open(path).map_err(|e| unusable(path, e))?;
    ParaphraseTable::index(BufReader::with_capacity(1 << 16, GzDecoder::new(BufReader::new(file))))
}

impl Source {
    /// The files at a path: a jar, or the folder of one.
    fn at(path: &Path) -> Result<Self, MetricsError> {
        let jar = if path.is_dir() { path.join(JAR) } else { path.to_owned() };
        if !jar.is_file() {
            return Err(unusable(&jar, "expected METEOR's jar, found no such file"));
        }
        let paraphrases = jar.with_file_name(PARAPHRASES);
        Ok(Self { jar, paraphrases: paraphrases.is_file().then_some(paraphrases) })
    }

    /// Changes with the files.
    fn fingerprint(&self) -> Result<String, MetricsError> {
        let of = |path: &PathBuf| -> Result<String, MetricsError> {
            let path = fs::canonicalize(path).map_err(|e| unusable(path, e))?;
            let metadata = fs::metadata(&path).map_err(|e| unusable(&path, e))?;
            Ok(format!("{} {} {:?}\n", path.display(), metadata.len(), metadata.modified().ok()))
        };
        Ok(of(&self.jar)? + &self.paraphrases.as_ref().map(of).transpose()?.unwrap_or_default())
    }

    /// The index of the jar's words.
    fn lexicon(&self) -> Result<Vec<u8>, MetricsError> {
        let file = File::open(&self.jar).map_err(|e| unusable(&self.jar, e))?;
        let mut jar = zip::ZipArchive::new(BufReader::new(file))
            .map_err(|e| unusable(&self.jar, format!("expected a jar, found none: {e}")))?;
        let mut text = |name: &str| {
            let broken = |e: String| unusable(&self.jar, format!("expected {name} in it: {e}"));
            let mut text = String::new();
            let mut file = jar.by_name(name).map_err(|e| broken(e.to_string()))?;
            file.read_to_string(&mut text).map_err(|e| broken(e.to_string()))?;
            Ok::<String, MetricsError>(text)
        };
        MeteorLexicon::index(&MeteorFiles {
            function_words: &text("function/english.words")?,
            prefixes: &text("nonbreaking/english.prefixes")?,
            exceptions: &text("synonym/english.exceptions")?,
            synsets: &text("synonym/english.synsets")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::cell::RefCell;
    use std::io::Write;
    use zip::write::SimpleFileOptions;

    fn jar(path: &Path) {
        let mut zip = zip::ZipWriter::new(File::create(path).unwrap());
        for (name, text) in [
            ("function/english.words", "a\n"),
            ("nonbreaking/english.prefixes", "mr\n"),
            ("synonym/english.exceptions", "child\nchildren\n"),
            ("synonym/english.synsets", "child\n1\nkid\n1\n"),
        ] {
            zip.start_file(name, SimpleFileOptions::default()).unwrap();
            zip.write_all(text.as_bytes()).unwrap();
        }
        zip.finish().unwrap();
    }

    fn table(folder: &Path) {
        fs::create_dir_all(folder.join("data")).unwrap();
        let mut gz = GzEncoder::new(File::create(folder.join(PARAPHRASES)).unwrap(), Compression::fast());
        gz.write_all(b"0.5\nred thing\nball\n").unwrap();
        gz.finish().unwrap();
    }

    #[test]
    fn a_named_jar_is_prepared_once_and_its_table_is_used_when_it_is_there() {
        let (folder, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (folder, cache) = (folder.path(), cache.path());
        let lines = RefCell::new(vec![]);
        let open =
            |path: &Path| MeteorData::named(path, cache, &|line| lines.borrow_mut().push(line.to_owned()));
        jar(&folder.join(JAR));
        let score = |data: &MeteorData, hypothesis: &str| {
            let meteor = data.meteor();
            meteor.score(hypothesis, &meteor.prepare(&["a red thing for children"]))
        };

        let data = open(folder).unwrap();
        assert_eq!(data.meteor().modules().name(), "METEOR_exact_stem_synonym");
        assert!(score(&data, "kid") > 0.0 && score(&data, "ball") == 0.0);
        assert!(lines.take().iter().any(|line| line.contains("METEOR_exact_stem_synonym, not METEOR")));

        table(folder);
        let data = open(&folder.join(JAR)).unwrap();
        assert_eq!(data.meteor().modules().name(), "METEOR");
        assert!(score(&data, "ball") > 0.0);
        assert!(lines.take().iter().any(|line| line.starts_with("preparing")));
        open(folder).unwrap();
        assert_eq!(lines.take(), Vec::<String>::new(), "it is there now");

        // A damaged index is made again.
        for made in fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().path()) {
            fs::write(lexicon_index(&made), "EKPH").unwrap();
        }
        assert!(score(&open(folder).unwrap(), "kid") > 0.0);
        assert_eq!(lines.take().len(), 1);
    }

    #[test]
    fn what_is_no_data_is_named_with_a_hint() {
        let (folder, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let refusal = |path: &Path| MeteorData::named(path, cache.path(), &|_| ()).unwrap_err().to_string();
        let jar = folder.path().join(JAR);
        let error = refusal(folder.path());
        assert!(
            error.contains(&jar.display().to_string()) && error.contains("hint: EKPHRASIS_METEOR"),
            "{error}"
        );
        fs::write(&jar, "no zip").unwrap();
        assert!(refusal(&jar).contains("expected a jar"), "{}", refusal(&jar));
        let mut zip = zip::ZipWriter::new(File::create(&jar).unwrap());
        zip.start_file("other", SimpleFileOptions::default()).unwrap();
        zip.finish().unwrap();
        assert!(refusal(&jar).contains("expected function/english.words"), "{}", refusal(&jar));
    }

    #[test]
    fn nothing_is_fetched_offline() {
        let cache = tempfile::tempdir().unwrap();
        let error =
            MeteorData::fetched(cache.path(), true, &|line| panic!("{line}")).unwrap_err().to_string();
        assert!(
            error.contains("fetching is forbidden") && error.contains("hint: run once without"),
            "{error}"
        );
        assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 0);
    }
}
