//! Who we are for a registry: basic authentication, tokens, credential helpers, and who is not told.

#![allow(clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::{Command, Stdio};
use support::registry::{Image, Registry, Server, layout, own_network, peer, reply, serve, sha256};
use support::{Done, Terminal, World, feed};

const NAME: &str = "127.0.0.1:5000/secret:1";
/// bcrypt of `s3cret:x`.
const HTPASSWD: &str = "me:$2b$05$abcdefghijklmnopqrstuuWrm/5AoaKADYlqOe34LrWvaAncFaCxG\n";

/// Pushes busybox as someone.
fn push(folder: &Path, who: &[&str]) {
    let layers = folder.join("layout");
    layout(&layers, &[("1", &[("", &Image::busybox())])]);
    let from = format!("oci:{}:1", layers.display());
    let to = format!("docker://{NAME}");
    let words = ["copy", "-q", "--insecure-policy", "--dest-tls-verify=false"];
    peer("skopeo", &[&words[..], who, &[&from, &to]].concat());
}

/// coracle with a folder for docker's config.json.
fn coracle(world: &World, words: &[&str]) -> Command {
    let mut command = world.command(words);
    command.env("DOCKER_CONFIG", world.folder.join("docker")).env("HOME", "/nonexistent");
    command
}

fn done(world: &World, words: &[&str]) -> Done {
    coracle(world, words).output().expect("start").into()
}

#[test]
fn basic_authentication_login_and_logout() {
    own_network();
    let world = World::empty();
    let passwords = world.folder.join("htpasswd");
    std::fs::write(&passwords, HTPASSWD).expect("write");
    let auth = format!("auth:\n  htpasswd: {{realm: x, path: {}}}", passwords.display());
    let registry = Registry::start(&world.folder, "", &auth);
    push(&world.folder, &["--dest-creds", "me:s3cret:x"]);
    let pull = done(&world, &["pull", NAME]);
    assert!(pull.code == 1 && pull.err.contains("no basic auth credentials"), "{pull:?}");
    let server = "127.0.0.1:5000";
    let login = ["login", "-u", "me", "--password-stdin", server];
    let wrong = feed(&mut coracle(&world, &login), b"wrong\n");
    let want = "login attempt to http://127.0.0.1:5000/v2/ failed with status: 401 Unauthorized";
    assert!(wrong.code == 1 && wrong.err.contains(want), "{wrong:?}");
    let file = world.folder.join("docker/config.json");
    assert!(!file.exists());
    let right = feed(&mut coracle(&world, &login), b"s3cret:x\n");
    assert_eq!((right.code, right.out.as_str()), (0, "Login Succeeded\n"), "{right:?}");
    assert!(right.err.contains("stored unencrypted in"), "{right:?}");
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(file.metadata().expect("stat").permissions().mode() & 0o777, 0o600);
    // docker's own programs read it.
    let inspect = ["inspect", "--tls-verify=false", "--authfile"];
    let image = format!("docker://{NAME}");
    peer("skopeo", &[&inspect[..], &[&file.to_string_lossy(), &image]].concat());
    let pull = done(&world, &["pull", "-q", NAME]);
    assert_eq!((pull.code, pull.out.trim()), (0, NAME), "{pull:?}");
    assert!(!registry.log().contains("s3cret"));
    let out = done(&world, &["logout", server]);
    assert_eq!(out.out, "Removing login credentials for 127.0.0.1:5000\n");
    assert_eq!(done(&world, &["logout", server]).out, "Not logged in to 127.0.0.1:5000\n");
    world.ok(&["rmi", NAME]);
    assert_eq!(done(&world, &["pull", NAME]).code, 1);
    // By hand.
    let line = format!("{} login {server}", support::binary().display());
    let line = format!("DOCKER_CONFIG={} {line}", world.folder.join("docker").display());
    let mut terminal = Terminal::start(&world, &line);
    terminal.expect("Username: ").send("me\n").expect("Password: ").send("s3cret:x\n");
    terminal.expect("\r\n").expect("Login Succeeded");
    assert_eq!(terminal.end(), 0);
    assert_eq!(done(&world, &["pull", "-q", NAME]).code, 0);
    for (words, want) in [
        (&["login", "-p", "x", "--password-stdin", server][..], "mutually exclusive"),
        (&["login", "--password-stdin", server], "Must provide --username"),
        (&["login", server], "non TTY device"),
        (&["login", "-u", "a", "-p", "b", "127.0.0.1:5009"], "Connection refused"),
    ] {
        let done = done(&world, words);
        assert!(done.code == 1 && done.err.contains(want), "{done:?}");
    }
    drop(registry);
    world.finish();
}

#[test]
fn a_credential_helper_keeps_the_secret() {
    own_network();
    let world = World::empty();
    let passwords = world.folder.join("htpasswd");
    std::fs::write(&passwords, HTPASSWD).expect("write");
    let auth = format!("auth:\n  htpasswd: {{realm: x, path: {}}}", passwords.display());
    let registry = Registry::start(&world.folder, "", &auth);
    push(&world.folder, &["--dest-creds", "me:s3cret:x"]);
    let bin = world.folder.join("bin");
    std::fs::create_dir_all(&bin).expect("mkdir");
    std::fs::create_dir_all(world.folder.join("docker")).expect("mkdir");
    let kept = world.folder.join("kept");
    let helper = bin.join("docker-credential-test");
    let script = format!(
        "#!/bin/sh\ncase $1 in\nget) read s; [ -e {0} ] || {{ echo credentials not found in native \
         keychain; exit 1; }}; cat {0};;\nstore) cat > {0};;\nerase) rm -f {0};;\nesac\n",
        kept.display()
    );
    std::fs::write(&helper, script).expect("write");
    peer("chmod", &["755", &helper.to_string_lossy()]);
    let file = world.folder.join("docker/config.json");
    let config = r#"{"credHelpers":{"127.0.0.1:5000":"test"},"HttpHeaders":{"X":"y"}}"#;
    std::fs::write(&file, config).expect("write");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").expect("PATH"));
    let run = |words: &[&str]| -> Done {
        coracle(&world, words).env("PATH", &path).output().expect("start").into()
    };
    assert!(run(&["pull", NAME]).err.contains("no basic auth credentials"));
    let login = run(&["login", "-u", "me", "-p", "s3cret:x", "127.0.0.1:5000"]);
    assert!(login.code == 0 && !login.err.contains("unencrypted"), "{login:?}");
    let text = std::fs::read_to_string(&file).expect("read");
    assert!(text.contains("HttpHeaders") && !text.contains("czNj"), "{text}");
    assert!(std::fs::read_to_string(&kept).expect("read").contains("s3cret:x"));
    assert_eq!(run(&["pull", "-q", NAME]).code, 0);
    assert_eq!(run(&["logout", "127.0.0.1:5000"]).code, 0);
    assert!(!kept.exists());
    // Without the program.
    let bare = done(&world, &["pull", NAME]);
    assert!(bare.err.contains("docker-credential-test get: executable file not found"), "{bare:?}");
    drop(registry);
    world.finish();
}

/// Base64 for URLs, without padding.
fn base64(bytes: &[u8]) -> String {
    let mut child = Command::new("base64")
        .arg("-w0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("base64");
    std::io::Write::write_all(&mut child.stdin.take().expect("stdin"), bytes).expect("write");
    let text = String::from_utf8(child.wait_with_output().expect("wait").stdout).expect("text");
    text.trim_end_matches('=').replace('+', "-").replace('/', "_")
}

/// A token as docker-registry wants it: signed by a key that it knows by its certificate.
fn token(folder: &Path, access: &str) -> String {
    let key = folder.join("key.pem");
    let certificate = folder.join("cert.pem");
    let text = std::fs::read_to_string(&certificate).expect("read");
    let der: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let now = std::time::UNIX_EPOCH.elapsed().expect("time").as_secs();
    let head = format!(r#"{{"typ":"JWT","alg":"RS256","x5c":["{der}"]}}"#);
    let claims = format!(
        r#"{{"iss":"tests","sub":"me","aud":"service","exp":{},"nbf":{},"iat":{now},"jti":"1","access":[{access}]}}"#,
        now + 300,
        now - 10,
    );
    let signed = format!("{}.{}", base64(head.as_bytes()), base64(claims.as_bytes()));
    let file = folder.join(format!("signed-{:?}", std::thread::current().id()));
    std::fs::write(&file, &signed).expect("write");
    let words = ["dgst", "-sha256", "-sign", &key.to_string_lossy(), &file.to_string_lossy()];
    let output = Command::new("openssl").args(words).output().expect("openssl");
    format!("{signed}.{}", base64(&output.stdout))
}

#[test]
fn tokens_of_a_token_server() {
    own_network();
    let world = World::empty();
    let folder = world.folder.clone();
    let (key, certificate) = (folder.join("key.pem"), folder.join("cert.pem"));
    peer(
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=tests",
            "-keyout",
            &key.to_string_lossy(),
            "-out",
            &certificate.to_string_lossy(),
        ],
    );
    let at = folder.clone();
    let basic = format!("Basic {}", base64_padded(b"me:right"));
    let tokens = Server::start("127.0.0.1:5001", move |asked, stream| {
        // Nobody may do anything; me may read and write.
        let access = match asked.header("authorization") {
            Some(text) if text == basic => {
                r#"{"type":"repository","name":"secret","actions":["pull","push"]}"#
            }
            Some(_) => {
                let body = br#"{"errors":[{"code":"UNAUTHORIZED","message":"incorrect username or password"}]}"#;
                return reply(stream, "401 Unauthorized", "", body);
            }
            None => "",
        };
        let body = format!(r#"{{"token":"{}","expires_in":300}}"#, token(&at, access));
        reply(stream, "200 OK", "Content-Type: application/json\r\n", body.as_bytes());
    });
    let auth = format!(
        "auth:\n  token: {{realm: \"http://127.0.0.1:5001/token\", service: service, issuer: tests, \
         rootcertbundle: {}}}",
        certificate.display()
    );
    let registry = Registry::start(&folder, "", &auth);
    push(&folder, &["--dest-creds", "me:right"]);
    let before = tokens.log().len();
    let nobody = done(&world, &["pull", NAME]);
    assert!(nobody.err.contains("pull access denied for 127.0.0.1:5000/secret"), "{nobody:?}");
    let asked = &tokens.log()[before];
    assert_eq!(asked.target, "/token?service=service&scope=repository:secret:pull");
    assert_eq!(asked.header("authorization"), None);
    let login =
        |password: &str| done(&world, &["login", "-u", "me", "-p", password, "127.0.0.1:5000"]);
    let wrong = login("wrong");
    assert!(wrong.err.contains("unauthorized: incorrect username or password"), "{wrong:?}");
    assert_eq!(login("right").code, 0);
    let before = tokens.log().len();
    let pull = done(&world, &["pull", "-q", NAME]);
    assert_eq!(pull.code, 0, "{pull:?}");
    assert_eq!(tokens.log().len() - before, 1, "one token does for all of a pull");
    assert!(tokens.log()[before].target.ends_with("scope=repository:secret:pull&account=me"));
    drop(registry);
    world.finish();
}

fn base64_padded(bytes: &[u8]) -> String {
    let text = base64(bytes);
    let padded = text.len().next_multiple_of(4);
    format!("{text:=<padded$}")
}

/// Credentials for the registry at 127.0.0.1:5000, and the text that must not be seen elsewhere.
fn known(world: &World) -> String {
    let folder = world.folder.join("docker");
    std::fs::create_dir_all(&folder).expect("mkdir");
    let pair = base64_padded(b"me:s3cret");
    let config = format!(r#"{{"auths":{{"127.0.0.1:5000":{{"auth":"{pair}"}}}}}}"#);
    std::fs::write(folder.join("config.json"), config).expect("write");
    format!("Basic {pair}")
}

#[test]
fn credentials_go_to_nobody_else() {
    own_network();
    let world = World::empty();
    let secret = known(&world);
    // What the evil one is asked is only kept.
    let evil = Server::start("127.0.0.2:80", |asked, stream| {
        let header = "WWW-Authenticate: Basic realm=\"give\"\r\n";
        match asked.target.contains("/token") {
            true => reply(stream, "200 OK", "", br#"{"token":"x"}"#),
            false => reply(stream, "401 Unauthorized", header, b""),
        }
    });
    let image = Image::busybox();
    let layer = sha256(&image.layers[0]);
    let registry = Server::start("127.0.0.1:5000", move |asked, stream| {
        let realm = |realm: &str| format!("WWW-Authenticate: Bearer realm=\"{realm}\"\r\n");
        let target = asked.target.as_str();
        let has = asked.header("authorization").is_some();
        if target.contains("/realm/") {
            // A token server elsewhere, by http.
            return reply(stream, "401 Unauthorized", &realm("http://127.0.0.2/token"), b"");
        }
        if target.contains("/scheme/") {
            return reply(stream, "401 Unauthorized", &realm("file:///etc/passwd"), b"");
        }
        if target.contains("/hop/") {
            // Our own token server, which sends us on.
            let there = "Location: http://127.0.0.2/token\r\n";
            return match target.contains("token") {
                true => reply(stream, "302 Found", there, b""),
                false => reply(
                    stream,
                    "401 Unauthorized",
                    &realm("http://127.0.0.1:5000/v2/hop/token"),
                    b"",
                ),
            };
        }
        if !has {
            let header = "WWW-Authenticate: Basic realm=\"x\"\r\n";
            return reply(stream, "401 Unauthorized", header, b"");
        }
        if target.ends_with(&layer) || target.contains("/moved/") {
            return reply(
                stream,
                "307 Temporary Redirect",
                "Location: http://127.0.0.2/x\r\n",
                b"",
            );
        }
        if !serve(&image, asked, stream) {
            reply(stream, "404 Not Found", "", b"");
        }
    });
    for (name, want) in [
        ("realm", "refused: it is not reached by https"),
        ("scheme", "bad address"),
        ("hop", "status 302"),
        ("moved", "unauthorized: 127.0.0.2, where the registry sent us"),
        ("layer", "unauthorized: 127.0.0.2, where the registry sent us"),
    ] {
        let done = done(&world, &["pull", &format!("127.0.0.1:5000/{name}/x:1")]);
        assert!(done.code == 1 && done.err.contains(want), "{name}: {done:?}");
    }
    let told = |server: &Server| {
        server.log().iter().filter(|asked| asked.header("authorization") == Some(&secret)).count()
    };
    assert!(told(&registry) > 0, "the registry itself is told");
    assert!(!evil.log().is_empty(), "redirects were followed");
    assert!(evil.log().iter().all(|asked| asked.header("authorization").is_none()));
    assert!(evil.log().iter().all(|asked| !asked.target.contains("token")), "{:?}", evil.log());
    // Another registry on this machine is another registry.
    let other = Server::start("127.0.0.1:5002", |_, stream| {
        reply(stream, "401 Unauthorized", "WWW-Authenticate: Basic realm=\"x\"\r\n", b"");
    });
    let done = done(&world, &["pull", "127.0.0.1:5002/x"]);
    assert!(done.err.contains("no basic auth credentials"), "{done:?}");
    assert_eq!(told(&other), 0);
    assert_eq!(world.ok(&["images", "-q"]), "");
    world.finish();
}
