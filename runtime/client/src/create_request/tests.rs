//! Command lines and what they say in the body; `tests/stock_docker.rs` compares the same with
//! docker's own client.

use super::*;
use serde_json::{Value, json};

fn request(line: &str) -> std::result::Result<CreateRequest, String> {
    let words = line.split(' ').map(|word| word.replace('_', " ").into()).collect();
    let (_, command, matches) =
        crate::commands::PROGRAM.parse(words, 80).map_err(|usage| usage.text)?;
    let around = Around {
        detach: matches.on("detach"),
        quiet_log: command.name == "run" && matches.on("rm"),
        console: Some((24, 80)),
        environment: &|name| (name == "HOME").then(|| String::from("/home/x")),
        folder: "/here/now",
    };
    from(&matches, &around).map_err(|error| error.message().to_string())
}

#[test]
fn bodies() {
    let base = json!({
        "Image": "img", "AttachStdout": true, "AttachStderr": true,
        "HostConfig": {"NetworkMode": "default", "RestartPolicy": {"Name": "no"}},
    });
    for (line, more) in [
        ("run img", json!({})),
        ("run img sh -c echo", json!({"Cmd": ["sh", "-c", "echo"]})),
        ("run img -it --rm", json!({"Cmd": ["-it", "--rm"]})),
        ("run -d img", json!({"AttachStdout": false, "AttachStderr": false})),
        ("run -i img", json!({"AttachStdin": true, "OpenStdin": true, "StdinOnce": true})),
        ("run -id img", json!({"AttachStdout": false, "AttachStderr": false, "OpenStdin": true})),
        ("run -t img", json!({"Tty": true, "HostConfig": {"ConsoleSize": [24, 80]}})),
        (
            "run -itw / -eA=B img",
            json!({
                "AttachStdin": true, "OpenStdin": true, "StdinOnce": true, "Tty": true,
                "WorkingDir": "/", "Env": ["A=B"], "HostConfig": {"ConsoleSize": [24, 80]},
            }),
        ),
        ("run -e HOME -e NO -e X= img", json!({"Env": ["HOME=/home/x", "NO", "X="]})),
        ("run -u 1:2 -h box img", json!({"User": "1:2", "Hostname": "box"})),
        ("run --entrypoint sh img -c x", json!({"Entrypoint": ["sh"], "Cmd": ["-c", "x"]})),
        ("run --entrypoint= img", json!({"Entrypoint": [""]})),
        ("run -l a=b -l c -l d=e=f img", json!({"Labels": {"a": "b", "c": "", "d": "e=f"}})),
        (
            "run --rm img",
            json!({"HostConfig": {"AutoRemove": true, "LogConfig": {"Type": "none"}}}),
        ),
        (
            "run --rm --log-driver json-file img",
            json!({"HostConfig": {"AutoRemove": true, "LogConfig": {"Type": "json-file"}}}),
        ),
        (
            "run --rm --log-opt max-size=1m img",
            json!({"HostConfig": {"AutoRemove": true, "LogConfig": {"Config": {"max-size": "1m"}}}}),
        ),
        ("run --log-driver none img", json!({"HostConfig": {"LogConfig": {"Type": "none"}}})),
        ("create --rm img", json!({"HostConfig": {"AutoRemove": true}})),
        ("run -m 64m img", json!({"HostConfig": {"Memory": 67_108_864}})),
        ("run --memory=1.5g img", json!({"HostConfig": {"Memory": 1_610_612_736}})),
        ("run --pids-limit -1 img", json!({"HostConfig": {"PidsLimit": -1}})),
        ("run --read-only img", json!({"HostConfig": {"ReadonlyRootfs": true}})),
        ("run --net none img", json!({"HostConfig": {"NetworkMode": "none"}})),
        ("run --network=host img", json!({"HostConfig": {"NetworkMode": "host"}})),
        ("run -v /a:/b:ro -v n:/c img", json!({"HostConfig": {"Binds": ["/a:/b:ro", "n:/c"]}})),
        ("run -v ./a:/b img", json!({"HostConfig": {"Binds": ["/here/now/a:/b"]}})),
        ("run -v ../../../a/.:/b img", json!({"HostConfig": {"Binds": ["/a:/b"]}})),
        ("run -v /data img", json!({"Volumes": {"/data": {}}})),
        ("run --privileged img", json!({"HostConfig": {"Privileged": true}})),
        (
            "run --cap-add SYS_ADMIN --cap-add KILL --cap-drop ALL img",
            json!({"HostConfig": {"CapAdd": ["SYS ADMIN", "KILL"], "CapDrop": ["ALL"]}}),
        ),
        (
            "run --security-opt no-new-privileges --security-opt seccomp=unconfined img",
            json!({"HostConfig": {"SecurityOpt": ["no-new-privileges", "seccomp=unconfined"]}}),
        ),
    ] {
        let mut want = base.clone();
        for (name, value) in more.as_object().unwrap() {
            match (name.as_str(), value) {
                ("HostConfig", Value::Object(host)) => {
                    let known = want["HostConfig"].as_object_mut().unwrap();
                    known.extend(host.clone());
                }
                _ => want[name] = value.clone(),
            }
        }
        let text = request(line).unwrap().to_json();
        let got: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(meant(&got), meant(&want), "{line}");
        // What the server reads is what the client wrote.
        assert_eq!(CreateRequest::parse(text.as_bytes()).unwrap(), request(line).unwrap());
    }
}

/// Without null, "", 0, false and what is empty; the volumes' `{}` count.
fn meant(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().map(|(name, v)| (name.clone(), meant(v))).filter(|(name, v)| {
                let empty = [json!(null), json!(""), json!(0), json!(false), json!([]), json!({})];
                name.starts_with('/') || !empty.contains(v)
            });
            Value::Object(kept.collect())
        }
        other => other.clone(),
    }
}

#[test]
fn what_is_wrong() {
    for (line, why) in [
        ("run --volume= img", "invalid empty volume spec"),
        ("run -v /a:/b:ro:x img", "invalid spec: /a:/b:ro:x: too many colons"),
        (
            "run --net a --net host img",
            "conflicting options: cannot attach both user-defined and non-user-defined \
             network-modes",
        ),
        ("run --security-opt x img", "invalid --security-opt: \"x\""),
        (
            "run --security-opt seccomp=/nope img",
            "opening seccomp profile (/nope) failed: open /nope: No such file or directory",
        ),
        ("run --log-driver none --log-opt a=b img", "invalid logging opts for driver none"),
        ("run --env-file /nope img", "open /nope: No such file or directory"),
    ] {
        assert_eq!(request(line).unwrap_err(), why, "{line}");
    }
    for (line, why) in [
        (
            "run -e =x img",
            "invalid argument \"=x\" for \"-e, --env\" flag: invalid environment variable: =x\n",
        ),
        (
            "run -l =x img",
            "invalid argument \"=x\" for \"-l, --label\" flag: invalid label '=x': empty name\n",
        ),
        ("run -m x img", "invalid argument \"x\" for \"-m, --memory\" flag: invalid size: 'x'\n"),
    ] {
        assert!(request(line).unwrap_err().starts_with(why), "{line}");
    }
}
