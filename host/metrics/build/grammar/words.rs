//! Words that end in a point or hold an apostrophe: abbreviations, clitics, names.

/// See [`super::DEFINITIONS`]. A letter in brackets matches in that case alone.
pub const DEFINITIONS: &[(&str, &str)] = &[
    ("clitic", r"{apos}([msdMSD]|re|ve|ll)"),
    // Before n't: letters of which the last is no n.
    ("before_not", r"[A-Za-z\u{AD}]*[A-MO-Za-mo-z](\u{AD})*"),
    ("not", r"n{any_apos}t"),
    (
        "apostrophe_word",
        r"{apos}n{apos}?|[lLdDjJ]{apos}|Dunkin{apos}|somethin{apos}|ol{apos}|{apos}em|[A-HJ-XZn]{any_apos}{letter}{2}{letter}*|{apos}[2-9]0s|{apos}till?|{letter}{letter}*[aeiouyAEIOUY]{any_apos}[aeiouA-Z]{letter}*|{apos}cause|cont'd\.?|'twas|nor'easter|c'mon|e'er|s'mores|ev'ry|li'l|nat'l|O{any_apos}o",
    ),
    ("month", r"Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sep|Sept|Oct|Nov|Dec"),
    ("day", r"Mon|Tue|Tues|Wed|Thu|Thurs|Fri"),
    (
        "state",
        r"Ala|Ariz|[A]z|[A]rk|Calif|Colo|Conn|Ct|Dak|[D]el|Fla|Ga|[I]ll|Ind|Kans?|Ky|[L]a|[M]ass|Md|Mich|Minn|[M]iss|Mo|Mont|Neb|Nev|Okla|[O]re|[P]a|Penn|Tenn|[T]ex|Va|Vt|[W]ash|Wisc?|Wyo",
    ),
    ("company", r"Inc|Cos?|Corp|Pp?t[ye]s?|Ltd|Plc|Rt|Bancorp|Bhd|Assn|Univ|Intl|Sys"),
    ("counted", r"tel|est|ext|sq"),
    ("after_name", r"Jr|Sr|Bros|(Ed|Ph)\.D|Blvd|Rd|Esq"),
    ("before_lower", r"({month}|{day}|{state}|{company}|{counted}|{after_name}|etc|al|seq|Bldg)\."),
    ("acronym", r"[A-Za-z](\.[A-Za-z])*|(Canada|Sino|Korean|EU|Japan|non)-U\.S|U\.S\.-(U\.K|U\.S\.S\.R)"),
    (
        "long_acronym",
        r"[A-Za-z](\.[A-Za-z])+|(Canada|Sino|Korean|EU|Japan|non)-U\.S|U\.S\.-(U\.K|U\.S\.S\.R)",
    ),
    (
        "title",
        r"Mr|Mrs|Ms|[M]iss|Drs?|Profs?|Sens?|Reps?|Attys?|Lt|Col|Gen|Messrs|Govs?|Adm|Rev|Maj|Sgt|Cpl|Pvt|Mt|Capt|Ste?|Ave|Pres|Lieut|Hon|Brig|Co?mdr|Pfc|Spc|Supts?|Det|Ft|Adj|Adv|Asst|Assoc|Ens|Insp|Mlle|Mme|Msgr|Sfc",
    ),
    ("part_of_name", r"Invt|Elec|Natl|M[ft]g|Dept"),
    ("before_upper", r"[A-Za-z]|{title}|vs|Alex|Wm|Jos|Cie|a\.k\.a|cf|TREAS|{acronym}|{part_of_name}|Ph"),
    ("before_number", r"(ca|figs?|prop|nos?|art|bldg|prop|pp|op)\."),
    (
        "sentence_start",
        r"[A]bout|[A]ccording|[A]dditionally|[A]fter|[A]n|[A]|[A]s|[A]t|[B]ut|[E]arlier|[H]e|[H]er|[H]ere|[H]owever|[I]f|[I]n|[I]t|[L]ast|[M]any|[M]ore|[M]r\.|[M]s\.|[N]ow|[O]nce|[O]ne|[O]ther|[O]ur|[S]he|[S]ince|[S]o|[S]ome|[S]uch|[T]hat|[T]he|[T]heir|[T]hen|[T]here|[T]hese|[T]hey|[T]his|[W]e|[W]hen|[W]hile|[W]hat|[Y]et|[Y]ou|{tag}",
    ),
    ("sentence_end", r"{gap}({gap}|{upper}|{tag})"),
    (
        "treebank_form",
        r"-(RRB|LRB|RCB|LCB|RSB|LSB)-|C\.D\.s|pro-|anti-|S(&|&amp;)P-500|S(&|&amp;)Ls|Cap{apos}n|c{apos}est",
    ),
];
