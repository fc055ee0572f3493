//! Finds what only a shell understands in a command that none will read.

/// Returns what begins the first part of `text`, outside of quotes, that a shell would not hand to the program: pipes, redirections,
/// lists, substitutions, variables, and assignments before the program (`NAME=`). Addresses may hold `&`, `;` and `$`. Nothing that
/// may be a secret is returned.
pub fn syntax(text: &str) -> Option<String> {
    if let Some(name) = assignment(text) {
        return Some(format!("{name}="));
    }
    let bytes = text.as_bytes();
    let (mut at, mut word) = (0, 0);
    while let Some(&byte) = bytes.get(at) {
        let rest = &text[at..];
        let next = bytes.get(at + 1).copied();
        let found = match byte {
            b'\\' => {
                at += 1;
                None
            }
            b'\'' => {
                at += rest[1..].find('\'')? + 1;
                None
            }
            b'"' => {
                at += end_of_double_quotes(rest)?;
                None
            }
            b'|' | b'<' | b'>' | b'`' => Some(1),
            b'$' => next
                .filter(|next| matches!(next, b'(' | b'{' | b'?' | b'_') || next.is_ascii_alphanumeric())
                .filter(|_| !text[word..at].contains("://"))
                .map(|next| if matches!(next, b'(' | b'{') { 2 } else { 1 }),
            // In a query it is an empty parameter.
            b'&' if next == Some(b'&') && text[word..at].contains('?') => {
                at += 1;
                None
            }
            b'&' if next == Some(b'&') => Some(2),
            b';' | b'&' => {
                let is_last = next.is_none_or(|next| next.is_ascii_whitespace());
                let is_address = text[word..at].contains("://") || text[word..at].contains('?');
                (word == at || !is_address || (is_last && byte == b';')).then_some(1)
            }
            // Within a word it belongs to an expression, such as caps of GStreamer.
            b'(' if word == at => Some(1),
            _ => None,
        };
        if let Some(length) = found {
            return Some(rest[..length].to_owned());
        }
        // The byte behind a backslash may be the first of several of a character.
        at += 1;
        while at < bytes.len() && !text.is_char_boundary(at) {
            at += 1;
        }
        if byte.is_ascii_whitespace() {
            word = at;
        }
    }
    None
}

/// Returns the name in an assignment before the program: `NAME=VALUE`.
fn assignment(text: &str) -> Option<&str> {
    let first = text.split_ascii_whitespace().next()?;
    let (name, _) = first.split_once('=')?;
    let is_name = name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric());
    (is_name && name.starts_with(|first: char| first == '_' || first.is_ascii_alphabetic())).then_some(name)
}

/// Where the quote ends that `text` begins with.
fn end_of_double_quotes(text: &str) -> Option<usize> {
    let mut escaped = false;
    let is_end = |byte: u8| {
        let is_end = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        is_end
    };
    Some(text.bytes().skip(1).position(is_end)? + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_a_shell_understands_is_found_without_spaces_around_it() {
        for (text, found) in [
            ("cat s.y4m |head -c 90000", "|"),
            ("cat s.y4m| head", "|"),
            ("cat s.y4m|head", "|"),
            ("cat s.y4m |& head", "|"),
            ("curl http://h/x|head", "|"),
            ("cat s.y4m; sleep 1", ";"),
            ("cat s.y4m;sleep 1", ";"),
            ("curl http://h/x; sleep 1", ";"),
            ("cat a && cat b", "&&"),
            ("cat a&&cat b", "&&"),
            ("curl http://h/x&&cat b", "&&"),
            ("cat a &", "&"),
            ("cat a&", "&"),
            ("cat a &cat b", "&"),
            ("cat <s.y4m", "<"),
            ("cat a >/dev/null", ">"),
            ("cat a 2>err.log", ">"),
            ("cat a 2>&1", ">"),
            ("cat a &>x", "&"),
            ("(cat s.y4m)", "("),
            ("cat `which a`", "`"),
            ("cat $(which a)", "$("),
            ("cat $HOME/a.y4m", "$"),
            ("cat ${HOME}/a", "${"),
            ("cat a$1", "$"),
            ("cat \u{e9}\\\u{e9}|x", "|"),
            ("cat 'a' \"b\\\"c\"|x", "|"),
            ("LIBCAMERA_LOG_LEVELS=*:ERROR rpicam-vid -o -", "LIBCAMERA_LOG_LEVELS="),
        ] {
            assert_eq!(syntax(text).as_deref(), Some(found), "{text}");
        }
    }

    #[test]
    fn arguments_may_hold_what_shells_use() {
        for text in [
            "ffmpeg -i rtsp://h/x?a=1&b=2 -f rawvideo -",
            "ffmpeg -i rtsp://h/x;y=1 -",
            "ffmpeg -i rtsp://u:pa$word@h/x -",
            "curl http://h/x?a=1&&b=2",
            "curl h/x?a=1&b=2",
            "ffmpeg -i 'rtsp://h/x?a=1&b=2;c|d' -vf \"scale=640:480,format=gray\" -",
            "ffmpeg -vf scale=640:480,format=gray -",
            "ffmpeg -vf \"select='gt(scene,0.4)'\" -",
            "gst-launch-1.0 -q a ! video/x-raw(memory:NVMM),format=NV12 ! fdsink",
            "sh -c 'cat a | head > b; echo $HOME `x`'",
            "sh -c \"cat a | head\"",
            "cat a\\|b \\$HOME \\;",
            "cat a$ 5$ $.",
            "tool --password=p -x",
            "./a=b",
            "",
        ] {
            assert_eq!(syntax(text), None, "{text}");
        }
    }
}
