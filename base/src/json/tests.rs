use super::{DEPTH, Empty, Raw, Rest, Writer, parse, to_string};
use crate::json_object;
use crate::map::Map;
use proptest::prelude::*;
use std::collections::BTreeMap;

json_object! {
    /// A bit of everything.
    #[derive(Clone, Debug, Default, PartialEq)]
    struct Thing {
        "Id" => id: String,
        "Names" ? => names: Vec<String>,
        "Size" ? => size: i64,
        "Port" => port: u16,
        "On" ? => on: bool,
        "Limit" ? => limit: Option<u64>,
        "Labels" ? => labels: Map<String, String>,
        "Volumes" ? => volumes: Map<String, Empty>,
        "Inner" ? => inner: Option<Box<Thing>>,
        "Any" ? => any: Raw,
        ..rest: Rest,
    }
}

json_object! {
    #[derive(Debug, Default, PartialEq)]
    struct Small { "a" => a: i32 }
}

#[test]
fn reads_and_writes_a_struct() {
    let text = r#"{"Id":"x","Names":["a","b"],"Port":0,"Labels":{"k":"v"},"Volumes":{"/d":{}},"Inner":{"Id":"","Port":7},"Any":[1,{"z":2}],"Later":{"n":1.5}}"#;
    let thing: Thing = parse(text.as_bytes()).unwrap();
    assert_eq!(thing.inner.as_ref().unwrap().port, 7);
    assert_eq!(thing.rest.get("Later").unwrap().text(), r#"{"n":1.5}"#);
    assert_eq!(to_string(&thing), text);
}

#[test]
fn null_is_the_default_everywhere() {
    let text = br#"{"Id":null,"Names":null,"Size":null,"Port":null,"On":null,"Limit":null,
        "Labels":null,"Volumes":null,"Inner":null,"Any":null}"#;
    assert_eq!(parse::<Thing>(text).unwrap(), Thing::default());
    assert_eq!(parse::<Thing>(b"null").unwrap(), Thing::default());
    assert_eq!(parse::<Vec<String>>(b"[null]").unwrap(), [""]);
}

#[test]
fn errors_say_where() {
    for (text, want) in [
        (r#"{"Id":5}"#, "Id at offset 6: expected string"),
        (r#"{"Inner":{"Names":["a",7]}}"#, "Inner.Names[1] at offset 23: expected string"),
        (r#"{"Port":65536}"#, "Port at offset 8: number out of range"),
        (r#"{"Port":-1}"#, "Port at offset 8: number out of range"),
        (r#"{"Size":1.5}"#, "Size at offset 8: expected whole number"),
        (r#"{"Size":9223372036854775808}"#, "Size at offset 8: number out of range"),
        (r#"{"Id":"a","Id":"b"}"#, "Id at offset 15: key occurs twice"),
        (r#"{"Labels":{"a":"1","a":"2"}}"#, "Labels.a at offset 23: key occurs twice"),
        (r#"{"new":1,"new":1}"#, "new at offset 15: key occurs twice"),
        (r#"{"Id":"a"} x"#, "at offset 11: text after the end"),
        (r#"{"Id":"a","#, "at offset 10: expected string"),
        (r#"{"Id":"a",}"#, "at offset 10: comma before the end"),
        (r#"{"Id":"\ud800"}"#, "Id at offset 6: half of a surrogate pair in string"),
        (r#"{"Id":"\x"}"#, "Id at offset 6: wrong escape in string"),
        ("{\"Id\":\"a\nb\"}", "Id at offset 6: control character in string"),
        (r#"[]"#, "at offset 0: expected object"),
        ("", "at offset 0: expected object"),
    ] {
        assert_eq!(parse::<Thing>(text.as_bytes()).unwrap_err().to_string(), want, "{text}");
    }
    assert!(parse::<String>(b"\"\xff\"").is_err());
    assert!(parse::<String>(b"\"\\u00e9\xc3\"").is_err());
}

#[test]
fn unknown_members_are_skipped_but_must_be_right() {
    assert_eq!(parse::<Small>(br#"{"b":[{"c":"\n"},-1e5,true,null],"a":3}"#).unwrap().a, 3);
    for text in [r#"{"b":01}"#, r#"{"b":nul}"#, r#"{"b":[1,]}"#, r#"{"b":"\u12"}"#, r#"{"b":}"#] {
        assert!(parse::<Small>(text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn depth_is_limited() {
    let nested = |n: usize| format!("{{\"b\":{}{}}}", "[".repeat(n), "]".repeat(n));
    assert!(parse::<Small>(nested(DEPTH as usize - 1).as_bytes()).is_ok());
    let e = parse::<Small>(nested(DEPTH as usize).as_bytes()).unwrap_err();
    assert!(e.to_string().ends_with("nested too deep"), "{e}");
}

#[test]
fn numbers() {
    assert_eq!(parse::<i64>(b" -9223372036854775808 ").unwrap(), i64::MIN);
    assert_eq!(parse::<u64>(b"18446744073709551615").unwrap(), u64::MAX);
    assert_eq!(to_string(&i64::MIN), "-9223372036854775808");
}

/// The same decisions as serde_json on any text, and strings survive both ways.
fn skip_agrees(text: &[u8]) {
    let ours = parse::<Raw>(text).is_ok();
    let theirs = serde_json::from_slice::<serde_json::Value>(text).is_ok();
    // serde_json takes the last of two equal keys in a tree, as we do when skipping.
    assert_eq!(ours, theirs, "{}", String::from_utf8_lossy(text));
}

proptest! {
    #[test]
    fn strings_round_trip(s in any::<String>()) {
        let text = to_string(&s);
        prop_assert_eq!(&parse::<String>(text.as_bytes()).unwrap(), &s);
        prop_assert_eq!(&serde_json::from_str::<String>(&text).unwrap(), &s);
        let theirs = serde_json::to_string(&s).unwrap();
        prop_assert_eq!(&parse::<String>(theirs.as_bytes()).unwrap(), &s);
    }

    #[test]
    fn json_like_text_is_judged_as_serde_json_does(s in r#"[\[\]{},:"a0-9.eE+\\u -]{0,24}"#) {
        skip_agrees(s.as_bytes());
    }

    #[test]
    fn any_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = parse::<Thing>(&bytes);
        skip_agrees(&bytes);
    }

    #[test]
    fn maps_round_trip(tree in any::<BTreeMap<String, i64>>()) {
        let map: Map<String, i64> = tree.clone().into_iter().collect();
        let mut w = Writer::new();
        super::ToJson::to_json(&map, &mut w);
        let text = w.finish();
        prop_assert_eq!(&serde_json::from_str::<BTreeMap<String, i64>>(&text).unwrap(), &tree);
        prop_assert_eq!(&parse::<Map<String, i64>>(text.as_bytes()).unwrap(), &map);
    }
}
