//! Characters, numbers, words of letters, addresses.

/// See [`super::DEFINITIONS`].
pub const DEFINITIONS: &[(&str, &str)] = &[
    ("letter", r"[[\p{L}&&\p{Age=6.1}]\u{1885}\u{1886}--\u{19B0}-\u{19C0}\u{19C8}\u{19C9}\u{1CF2}\u{1CF3}]"),
    ("upper", r"[\p{Uppercase}&&\p{Age=6.1}--\u{13A0}-\u{13F5}]"),
    ("digit", r"[\p{Nd}&&\p{Age=6.1}]"),
    ("space", r"[ \t\u{A0}\u{2000}-\u{200A}\u{3000}]"),
    ("newline", r"\r|\r?\n|\u{2028}|\u{2029}|\u{0B}|\u{0C}|\u{85}"),
    ("gap", r"{space}|{newline}"),
    // Typewriter, Windows-1252 and typographic forms.
    ("apos", r"['\u{92}\u{2019}]|&apos;"),
    ("any_apos", r"{apos}|[`\u{91}\u{2018}\u{201B}]"),
    ("hyphen", r"[-_\u{58A}\u{2010}\u{2011}]"),
    ("dash", r"&(MD|mdash|ndash);|[\u{96}\u{97}\u{2013}-\u{2015}]"),
    ("amp", r"&amp;"),
    ("punctuation_entity", r"&(HT|TL|UR|LR|QC|QL|QR|odq|cdq|#[0-9]+);"),
    (
        "tag",
        r#"<([!?][A-Za-z\-][^>\r\n]*|[A-Za-z][A-Za-z0-9_:.\-]*([ ]+([A-Za-z][A-Za-z0-9_:.\-]*|[A-Za-z][A-Za-z0-9_:.\-]*[ ]*=[ ]*('[^']*'|"[^"]*")))*[ ]*/?|/[A-Za-z][A-Za-z0-9_:.\-]*)[ ]*>"#,
    ),
    ("inner_stop", r"[,;:\u{3001}]"),
    // Letters, and marks that belong to words.
    (
        "word_character",
        r"{letter}|&[aeiouAEIOU](acute|grave|uml);|[\u{AD}\u{237}-\u{24F}\u{2C2}-\u{2C5}\u{2D2}-\u{2DF}\u{2E5}-\u{36F}\u{370}-\u{37D}\u{384}\u{385}\u{3CF}\u{3F6}\u{3FC}-\u{3FF}\u{483}-\u{487}\u{4CF}\u{4F6}-\u{4FF}\u{510}-\u{525}\u{55A}-\u{55F}\u{591}-\u{5BD}\u{5BF}\u{5C1}\u{5C2}\u{5C4}\u{5C5}\u{5C7}\u{615}-\u{61A}\u{63B}-\u{63F}\u{64B}-\u{65E}\u{670}\u{6D6}-\u{6EF}\u{6FA}-\u{6FF}\u{70F}\u{711}\u{730}-\u{74F}\u{750}-\u{77F}\u{7A6}-\u{7B1}\u{7CA}-\u{7F5}\u{7FA}\u{900}-\u{903}\u{93C}\u{93E}-\u{94E}\u{951}-\u{955}\u{962}\u{963}\u{981}-\u{983}\u{9BC}-\u{9C4}\u{9C7}\u{9C8}\u{9CB}-\u{9CD}\u{9D7}\u{9E2}\u{9E3}\u{A01}-\u{A03}\u{A3C}\u{A3E}-\u{A4F}\u{A81}-\u{A83}\u{ABC}-\u{ACF}\u{B82}\u{BBE}-\u{BC2}\u{BC6}-\u{BC8}\u{BCA}-\u{BCD}\u{C01}-\u{C03}\u{C3E}-\u{C56}\u{D3E}-\u{D44}\u{D46}-\u{D48}\u{E30}-\u{E3A}\u{E47}-\u{E4E}\u{EB1}-\u{EBC}\u{EC8}-\u{ECD}]",
    ),
    (
        "word",
        r"{word_character}({word_character}|{digit})*([.!?]{word_character}({word_character}|{digit})*)*",
    ),
    ("date", r"{digit}{1,2}[-/]{digit}{1,2}[-/]{digit}{2,4}"),
    ("unsigned", r"{digit}+|{digit}*([.:,\u{AD}\u{66B}\u{66C}]{digit}+)+"),
    ("number", r"[-+]?{unsigned}"),
    (
        "raised_or_lowered",
        r"[\u{207A}\u{207B}\u{208A}\u{208B}]?([\u{2070}\u{B9}\u{B2}\u{B3}\u{2074}-\u{2079}]+|[\u{2080}-\u{2089}]+)",
    ),
    ("fraction", r"({digit}{1,4}[- \u{A0}])?{digit}{1,4}(\\?/|\u{2044}){digit}{1,4}"),
    ("vulgar_fraction", r"[\u{BC}-\u{BE}\u{2153}-\u{215E}]"),
    ("dollar", r"([A-Z]*\$|#)"),
    (
        "currency",
        r"[\u{A2}-\u{A5}\u{80}\u{20A0}\u{20AC}\u{60B}\u{E3F}\u{20A4}\u{FFE0}\u{FFE1}\u{FFE5}\u{FFE6}]",
    ),
    ("piece", r"([dDoOlL]{any_apos}({letter}|{digit}))?({letter}|{digit})+"),
    ("compound", r"{piece}({hyphen}{piece})*"),
    ("ampersand_compound", r"[A-Z]+(([+&]|{amp})[A-Z]+)+"),
    ("alternatives", r"[A-Za-z0-9]+(-[A-Za-z]+){0,2}(\\?/[A-Za-z0-9]+(-[A-Za-z]+){0,2}){1,2}"),
    ("hyphenated", r"[A-Za-z0-9][A-Za-z0-9.,\u{AD}]*(-([A-Za-z0-9\u{AD}]+|{long_acronym}\.))+"),
    (
        "file_extension",
        r"bat|bmp|c|class|cgi|cpp|dll|doc|docx|exe|gif|gz|h|htm|html|jar|java|jpeg|jpg|mov|mp3|pdf|php|pl|png|ppt|ps|py|sql|tar|txt|wav|x|xml|zip",
    ),
    ("file_name", r"({word_character}|{digit})+(\.({word_character}|{digit})+)*\.{file_extension}"),
    ("full_url", r#"https?://[^ \t\n\f\r"<>|(){}]+[^ \t\n\f\r"<>|.!?(){},\-]"#),
    (
        "likely_url",
        r#"((www\.([^ \t\n\f\r"<>|.!?(){},]+\.)+[a-zA-Z]{2,4})|(([^ \t\n\f\r"`'<>|.!?(){},-_$]+\.)+(com|net|org|edu)))(/[^ \t\n\f\r"<>|()]+[^ \t\n\f\r"<>|.!?(){},\-])?"#,
    ),
    (
        "email",
        r#"(&lt;|<)?[a-zA-Z0-9][^ \t\n\f\r"<>|()\u{A0}{}]*@([^ \t\n\f\r"<>|(){}.\u{A0}]+\.)*([^ \t\n\f\r"<>|(){}.\u{A0}]+)(&gt;|>)?"#,
    ),
    ("handle", r"@[a-zA-Z_][a-zA-Z_0-9]*|#({word_character})+"),
    (
        "phone",
        r"(\([0-9]{2,3}\)[ \u{A0}]?|(\+\+?)?([0-9]{2,4}[- \u{A0}])?[0-9]{2,4}[- \u{A0}])[0-9]{3,4}[- \u{A0}]?[0-9]{3,5}|((\+\+?)?[0-9]{2,4}\.)?[0-9]{2,4}\.[0-9]{3,4}\.[0-9]{3,5}",
    ),
    ("dots", r"\.{3,5}|(\.[ \u{A0}]){2,4}\.|[\u{85}\u{2026}]"),
    ("quotes", r"{apos}|''|[`\u{2018}-\u{201F}\u{91}-\u{94}\u{2039}\u{203A}\u{AB}\u{BB}]{1,2}"),
    ("double_quote", r#""|&quot;"#),
    ("smiley", r"[<>]?[:;=][-o*']?[()DPdpO\\{@|\[\]]"),
    (
        "asian_smiley",
        r"[\^x=~<>]\.\[\^x=[^<]*<>\]|[-\^x=~<>']_[-\^x=~<>']|\([-\^x=~<>'][_.]?[-\^x=~<>']\)|\([\^x=~<>']-[\^x=~<>'`]\)",
    ),
    (
        "symbol",
        r"[+%\&\~\^|\\\u{A6}\u{A7}\u{A8}\u{A9}\u{AC}\u{AE}\u{AF}\u{B0}-\u{BA}\u{D7}\u{F7}\u{387}\u{5BE}\u{5C0}\u{5C3}\u{5C6}\u{5F3}\u{5F4}\u{600}-\u{603}\u{606}-\u{60A}\u{60C}\u{614}\u{61B}\u{61E}\u{66A}\u{66D}\u{703}-\u{70D}\u{7F6}-\u{7F8}\u{964}\u{965}\u{E4F}\u{1FBD}\u{2016}\u{2017}\u{2020}-\u{2023}\u{2030}-\u{2038}\u{203B}\u{203E}-\u{2042}\u{2044}\u{207A}-\u{207F}\u{208A}-\u{208E}\u{2100}-\u{214F}\u{2190}-\u{2BFF}\u{3012}\u{30FB}\u{FF01}-\u{FF0F}\u{FF1A}-\u{FF20}\u{FF3B}-\u{FF40}\u{FF5B}-\u{FF65}]",
    ),
];
