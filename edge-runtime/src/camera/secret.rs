//! Passwords in the addresses of cameras, which belong into no log, message or journal.

/// Names of parameters in an address whose values are secrets, in lower case.
const PARAMETERS: [&str; 8] = ["pw", "pwd", "pass", "passwd", "password", "token", "auth", "key"];
/// What is shown in place of a secret.
const HIDDEN: &str = "***";

/// The user and password in an address with the `@` behind them; empty if there are none. RFC 3986 ends them at the first `/`,
/// `?` or `#`; a password that holds one of these is found by what would be the port and is not a number.
fn user_info(address: &str) -> &str {
    let rest = address.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if let Some(at) = authority.rfind('@') {
        return &authority[..=at];
    }
    // Cameras have no use for what follows a `#`.
    let is_port =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && !rest[authority.len()..].starts_with('#');
    match authority.rsplit_once(':') {
        Some((_, port)) if !is_port(port) && !authority.ends_with(']') => rest.rfind('@').map_or("", |at| &rest[..=at]),
        _ => "",
    }
}

/// The secret values of parameters behind the `?` of an address.
fn parameters(address: &str) -> impl Iterator<Item = &str> {
    let query = address.split_once("://").and_then(|(_, rest)| rest.split_once('?')).map_or("", |(_, query)| query);
    let query = query.split(['#', '\'', '"']).next().unwrap_or_default();
    let pairs = query.split(['&', ';']).filter_map(|pair| pair.split_once('='));
    let is_secret = |name: &str| PARAMETERS.contains(&name.to_ascii_lowercase().as_str());
    pairs.filter(move |(name, value)| is_secret(name) && !value.is_empty()).map(|(_, value)| value)
}

/// Everything in an address that must not be seen.
pub(super) fn secrets(address: &str) -> Vec<String> {
    let user = Some(user_info(address)).filter(|user| !user.is_empty());
    user.into_iter().chain(parameters(address)).map(str::to_owned).collect()
}

/// Returns an address as programs understand it: characters of its password that would end it are escaped.
pub(super) fn escaped(address: &str) -> String {
    let user = user_info(address).strip_suffix('@').unwrap_or_default();
    let start = address.find("://").map_or(0, |at| at + 3);
    let escape = |c: char| match c {
        '/' | '?' | '#' | '@' => format!("%{:02X}", u32::from(c)),
        c => c.to_string(),
    };
    let escaped: String = user.chars().map(escape).collect();
    format!("{}{escaped}{}", &address[..start], &address[start + user.len()..])
}

/// The address without the user and the passwords that it may hold: it goes to logs.
pub(super) fn shown(address: &str) -> String {
    let start = address.find("://").map_or(0, |at| at + 3);
    let mut shown = address[..start].to_owned();
    let mut done = start + user_info(address).len();
    for value in parameters(address) {
        let from = value.as_ptr() as usize - address.as_ptr() as usize;
        // A value that begins in the user ends there, or is hidden to its end.
        if from + value.len() > done {
            shown.push_str(address.get(done..from).unwrap_or_default());
            shown.push_str(HIDDEN);
            done = from + value.len();
        }
    }
    shown.push_str(&address[done..]);
    for value in parameters(address) {
        // Wherever else it is a value, but not where it is a word of the path.
        shown = shown.replace(&format!("={value}"), &format!("={HIDDEN}"));
    }
    shown
}

/// Returns the text of an argument without the passwords in it: those in the user and in the parameters of an address, and in
/// `-u USER:PASSWORD` of a command. An address without a password stays as it is.
pub fn without_password(argument: &str) -> String {
    match argument.split_once("command:") {
        Some((before, command)) => format!("{before}command:{}", in_command(command)),
        None => in_address(argument),
    }
}

fn in_address(text: &str) -> String {
    let has_password = user_info(text).contains(':') || parameters(text).next().is_some();
    if has_password { shown(text) } else { text.to_owned() }
}

fn in_command(command: &str) -> String {
    let mut follows_user = false;
    let hide = |word: &str| {
        let is_user = std::mem::replace(&mut follows_user, ["-u", "--user"].contains(&word));
        let flag = ["--user=", "-u"].into_iter().find(|flag| word.starts_with(flag)).unwrap_or_default();
        match word.split_once(':') {
            Some((user, _)) if is_user || !flag.is_empty() => format!("{user}:{HIDDEN}"),
            _ => in_address(word),
        }
    };
    command.split(' ').map(hide).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        for (address, expected) in [
            ("rtsp://me:secret@camera:554/a/b@c", "rtsp://camera:554/a/b@c"),
            ("rtsp://camera", "rtsp://camera"),
            ("rtsp://me:sec@ret@camera", "rtsp://camera"),
            ("rtsp://me:sec/ret@camera/1", "rtsp://camera/1"),
            ("rtsp://me:sec?r#t@camera/1", "rtsp://camera/1"),
            ("rtsp://me:12#34@camera/1", "rtsp://camera/1"),
            ("http://camera:80#top", "http://camera:80#top"),
            ("rtsp://camera:554/a@b", "rtsp://camera:554/a@b"),
            ("rtsp://[::1]/a@b", "rtsp://[::1]/a@b"),
            ("a@b.mp4", "a@b.mp4"),
            ("http://h/key?user=me&PWD=secret&x=1", "http://h/key?user=me&PWD=***&x=1"),
            ("http://me:secret@h/x?token=other#t", "http://h/x?token=***#t"),
            ("http://h/x?monkey=1&pw=", "http://h/x?monkey=1&pw="),
            ("http://h/x?token=secret&id=secret#id=secret", "http://h/x?token=***&id=***#id=***"),
            ("rtsp://h:x?pw=a-long-one@", "rtsp://"),
            ("rtsp://me:a?pw=b@camera/1", "rtsp://***"),
            ("http://h:x?pw=se@cret&auth=t&x=1", "http://***&auth=***&x=1"),
        ] {
            assert_eq!(shown(address), expected);
        }
        assert_eq!(secrets("http://me:secret@h/x?a=b&auth=other"), ["me:secret@", "other"]);
        assert!(secrets("film.mp4").is_empty());
    }

    #[test]
    fn a_password_does_not_end_its_address() {
        for (address, expected) in [
            ("rtsp://me:a#b/c?d@e@camera:554/1?x=1#y", "rtsp://me:a%23b%2Fc%3Fd%40e@camera:554/1?x=1#y"),
            ("rtsp://me:a%23b@camera/1", "rtsp://me:a%23b@camera/1"),
            ("rtsp://me@camera/a@b", "rtsp://me@camera/a@b"),
            ("http://camera:80/a@b?c=d#e", "http://camera:80/a@b?c=d#e"),
            ("udp://@:1234", "udp://@:1234"),
        ] {
            assert_eq!(escaped(address), expected);
        }
    }

    #[test]
    fn an_argument_loses_its_passwords_and_nothing_else() {
        for (argument, expected) in [
            ("--source=rtsp://me:secret@camera/1", "--source=rtsp://camera/1"),
            ("rtsp://me@camera/1", "rtsp://me@camera/1"),
            ("rtsp://h/x?pw=secret", "rtsp://h/x?pw=***"),
            ("command:curl -u admin:secret http://h/x?pw=secret -s", "command:curl -u admin:*** http://h/x?pw=*** -s"),
            ("command:curl --user=admin:secret -uadmin:secret x", "command:curl --user=admin:*** -uadmin:*** x"),
            ("--source=command:sh -c 'curl http://me:secret@h'", "--source=command:sh -c 'curl http://h'"),
            ("command:rpicam-vid -t 0 -o -", "command:rpicam-vid -t 0 -o -"),
        ] {
            assert_eq!(without_password(argument), expected);
        }
    }
}
