use super::*;
use hyper::header::{HeaderName, HeaderValue};
use proptest::prelude::*;

const TOKEN: &str = "correct-horse-battery";

fn guarded() -> Guard {
    Guard::with_token("192.0.2.1:8080".parse().unwrap(), &Token::new(TOKEN).unwrap())
}

fn local() -> Guard {
    Guard::local("127.0.0.1:8080".parse().unwrap(), &["cam.example".to_owned()])
}

fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
}

#[test]
fn only_names_of_this_machine_pass_on_loopback() {
    for name in [
        "localhost",
        "LocalHost:9",
        "127.0.0.1:8080",
        "127.9.9.9",
        "[::1]:8080",
        "[::ffff:127.0.0.1]",
        "cam.example",
        "CAM.example:81",
    ] {
        assert_eq!(local().check(&headers(&[(HOST, name)]), None), Ok(Pass::Known), "{name}");
    }
    for name in [
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "evil.cam.example",
        "cam.example.",
        "192.0.2.1",
        "x@localhost",
        "",
        "::1",
        "[",
        "a b",
    ] {
        assert_eq!(local().check(&headers(&[(HOST, name)]), None), Err(Refusal::Host), "{name}");
    }
    assert_eq!(local().check(&HeaderMap::new(), None), Err(Refusal::Host));
}

#[test]
fn the_token_passes_as_header_cookie_or_parameter_and_nothing_else_does() {
    let guard = guarded();
    let bearer = |text: &str| headers(&[(AUTHORIZATION, text)]);
    assert_eq!(guard.check(&bearer(&format!("Bearer {TOKEN}")), None), Ok(Pass::Known));
    assert_eq!(guard.check(&bearer(&format!("bearer  {TOKEN} ")), None), Ok(Pass::Known));
    assert_eq!(guard.check(&HeaderMap::new(), Some(&format!("a=b&token={TOKEN}"))), Ok(Pass::Token));

    let set = guard.cookie().unwrap();
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Strict") && !set.contains(TOKEN), "{set}");
    let pair = set.split(';').next().unwrap();
    assert_eq!(guard.check(&headers(&[(COOKIE, &format!("x=y; {pair}"))]), None), Ok(Pass::Known));

    let name = pair.split('=').next().unwrap();
    for wrong in [
        HeaderMap::new(),
        bearer("Bearer"),
        bearer("Bearer "),
        bearer(TOKEN),
        bearer(&format!("Basic {TOKEN}")),
        bearer(&format!("Bearer {TOKEN}x")),
        bearer("Bearer correct-horse-batterx"),
        headers(&[(COOKIE, &format!("{name}={TOKEN}"))]),
        headers(&[(COOKIE, &format!("x{pair}"))]),
        headers(&[(HOST, "localhost")]),
    ] {
        assert_eq!(guard.check(&wrong, None), Err(Refusal::Token), "{wrong:?}");
    }
    for wrong in
        ["", "token", "token=", "token=wrong", "atoken=correct-horse-battery", "token=x&token=correct-horse-battery"]
    {
        assert_eq!(guard.check(&HeaderMap::new(), Some(wrong)), Err(Refusal::Token), "{wrong}");
    }
}

#[test]
fn another_token_has_another_cookie() {
    let other = Guard::with_token("192.0.2.1:8080".parse().unwrap(), &Token::new("another-token-than-that").unwrap());
    let [(name, value), (other_name, other_value)] = [guarded(), other]
        .map(|guard| guard.cookie().unwrap().split_once('=').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap());
    assert!(name != other_name && value != other_value, "{name} {other_name}");
    assert_eq!(local().cookie(), None);
}

#[test]
fn the_cookie_of_a_generated_token_ends_with_the_browser() {
    let generated = Guard::with_token("192.0.2.1:8080".parse().unwrap(), &Token::generated().unwrap());
    for (guard, is_kept) in [(guarded(), true), (generated, false)] {
        assert_eq!(guard.cookie().unwrap().contains("Max-Age"), is_kept);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_bytes_make_it_panic_or_let_in(host: Vec<u8>, auth: Vec<u8>, jar: Vec<u8>, query in ".*") {
        let map: HeaderMap = [(HOST, host), (AUTHORIZATION, auth), (COOKIE, jar)]
            .into_iter()
            .filter_map(|(name, value)| Some((name, HeaderValue::from_bytes(&value).ok()?)))
            .collect();
        prop_assert_eq!(guarded().check(&map, Some(&query)), Err(Refusal::Token));
        let _ = local().check(&map, Some(&query));
    }

    #[test]
    fn what_looks_like_ours_but_is_not_is_refused(tail in "[ =;&a-z0-9%]{0,40}", case in 0..4) {
        let set = guarded().cookie().unwrap();
        let name = set.split('=').next().unwrap();
        let (map, query) = match case {
            0 => (headers(&[(AUTHORIZATION, &format!("Bearer {tail}"))]), None),
            1 => (headers(&[(COOKIE, &format!("{name}={tail}"))]), None),
            2 => (headers(&[(COOKIE, &format!("{tail};{name}"))]), None),
            _ => (HeaderMap::new(), Some(format!("token={tail}"))),
        };
        prop_assert_eq!(guarded().check(&map, query.as_deref()), Err(Refusal::Token));
    }

    #[test]
    fn parameters_and_cookies_are_found_among_others(name in "[a-z]{1,8}", value in "[a-z0-9]{0,12}", other in "[A-Z]{1,9}=[0-9]{0,4}") {
        let query = format!("{other}&{name}={value}&{other}");
        prop_assert_eq!(parameter(&query, &name), Some(value.as_str()));
        let jar = format!("{other}; {name}={value} ;{other}");
        prop_assert_eq!(cookie(jar.as_bytes(), name.as_bytes()), Some(value.as_bytes()));
    }

    #[test]
    fn other_hosts_are_never_this_machine(name in "[a-z]{1,12}\\.[a-z]{2,5}(:[0-9]{1,5})?") {
        prop_assume!(!name.starts_with("cam.example"));
        prop_assert_eq!(local().check(&headers(&[(HOST, &name)]), None), Err(Refusal::Host));
    }
}
