//! `--change` of `import` and `commit`: single instructions of a Dockerfile. Pure.

use base::json::{Empty, Raw};
use base::text::quote::quoted;
use base::{Error, Result};
use imgstore::ImageConfig;

/// One instruction, done to an image's configuration.
pub(crate) fn apply(config: &mut ImageConfig, change: &str) -> Result<()> {
    let wrong = || Error::bad_input(format!("unknown instruction: {change}"));
    let (instruction, value) = change.trim().split_once(char::is_whitespace).ok_or_else(wrong)?;
    let value = value.trim();
    match instruction.to_ascii_uppercase().as_str() {
        "CMD" => config.cmd = Some(command(value)?),
        "ENTRYPOINT" => config.entrypoint = Some(command(value)?),
        "ENV" => {
            for (name, value) in pairs(value)? {
                config.env.retain(|other| other.split('=').next() != Some(&name));
                config.env.push([&name, "=", &value].concat());
            }
        }
        "LABEL" => config.labels.extend(pairs(value)?),
        "USER" => config.user = value.to_string(),
        "WORKDIR" => config.working_dir = value.to_string(),
        "STOPSIGNAL" => config.stop_signal = value.to_string(),
        "EXPOSE" => {
            for port in value.split_whitespace() {
                let port =
                    if port.contains('/') { port.to_string() } else { format!("{port}/tcp") };
                config.exposed_ports.insert(port, Empty);
            }
        }
        "VOLUME" => {
            let paths: Vec<String> = match value.starts_with('[') {
                true => base::json::parse(value.as_bytes())?,
                false => words(value)?,
            };
            config.volumes.extend(paths.into_iter().map(|path| (path, Empty)));
        }
        "HEALTHCHECK" => config.healthcheck = healthcheck(value)?,
        _ => return Err(wrong()),
    }
    Ok(())
}

/// A list in JSON, or a line for the shell.
fn command(value: &str) -> Result<Vec<String>> {
    match value.starts_with('[') {
        true => base::json::parse(value.as_bytes()),
        false => Ok(["/bin/sh", "-c", value].map(String::from).to_vec()),
    }
}

/// `NONE`, or `[OPTIONS] CMD …`.
fn healthcheck(value: &str) -> Result<Raw> {
    let mut health = base_http::api::container::HealthConfig::default();
    let mut rest = value;
    while let Some(option) = rest.strip_prefix("--") {
        let (option, after) = option.split_once(char::is_whitespace).unwrap_or((option, ""));
        let wrong = || Error::bad_input(format!("Unknown flag: --{option}"));
        let (name, text) = option.split_once('=').ok_or_else(wrong)?;
        let nanos = || base::text::duration::parse(text);
        match name {
            "interval" => health.interval = nanos()?,
            "timeout" => health.timeout = nanos()?,
            "start-period" => health.start_period = nanos()?,
            "start-interval" => health.start_interval = nanos()?,
            "retries" => health.retries = text.parse().map_err(|_| wrong())?,
            _ => return Err(wrong()),
        }
        rest = after.trim_start();
    }
    let (kind, line) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let line = line.trim();
    health.test = Some(match kind.to_ascii_uppercase().as_str() {
        "NONE" => vec!["NONE".to_string()],
        "CMD" if line.starts_with('[') => {
            let mut test = vec!["CMD".to_string()];
            test.extend(base::json::parse::<Vec<String>>(line.as_bytes())?);
            test
        }
        "CMD" => vec!["CMD-SHELL".to_string(), line.to_string()],
        _ => {
            return Err(Error::bad_input(
                ["Unknown type ", &quoted(kind), " in HEALTHCHECK"].concat(),
            ));
        }
    });
    Ok(Raw::of(&health))
}

/// `NAME=VALUE …`, or `NAME VALUE` for one.
fn pairs(value: &str) -> Result<Vec<(String, String)>> {
    let words = words(value)?;
    let first_has_sign = words.first().is_some_and(|word| word.contains('='));
    if !first_has_sign {
        let (name, value) = value.split_once(char::is_whitespace).unwrap_or((value, ""));
        return Ok(vec![(name.to_string(), value.trim().to_string())]);
    }
    let pair = |word: String| {
        let (name, value) = word.split_once('=').unwrap_or((&word, ""));
        (name.to_string(), value.to_string())
    };
    Ok(words.into_iter().map(pair).collect())
}

/// Words as the shell splits them: quotes and backslashes hold them together.
fn words(text: &str) -> Result<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            ('\\', None | Some('"')) => {
                word.get_or_insert_default().extend(letters.next());
            }
            (letter, Some(open)) if letter == open => quote = None,
            (letter, Some(_)) => word.get_or_insert_default().push(letter),
            ('"' | '\'', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (letter, None) if letter.is_whitespace() => words.extend(word.take()),
            (letter, None) => word.get_or_insert_default().push(letter),
        }
    }
    if quote.is_some() {
        return Err(Error::bad_input(format!("unexpected end of statement: {text}")));
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_change_the_configuration() {
        let mut config = ImageConfig::default();
        for change in [
            "CMD [\"a\",\"b\"]",
            "entrypoint run it",
            "ENV A=1 B=\"two words\"",
            "ENV A 3",
            "LABEL x=y",
            "VOLUME /a /b",
            "VOLUME [\"/c\"]",
            "EXPOSE 80 53/udp",
            "USER web",
            "HEALTHCHECK --interval=5s --retries=2 CMD true",
        ] {
            apply(&mut config, change).expect(change);
        }
        assert_eq!(config.cmd.as_deref(), Some(&["a".to_string(), "b".to_string()][..]));
        assert_eq!(config.entrypoint.clone().expect("entrypoint")[2], "run it");
        assert_eq!(config.env, ["B=two words", "A=3"]);
        assert_eq!(config.labels.get("x").map(String::as_str), Some("y"));
        let keys: Vec<_> = config.volumes.keys().map(String::as_str).collect();
        assert_eq!(keys, ["/a", "/b", "/c"]);
        assert!(config.exposed_ports.get("80/tcp").is_some());
        assert!(config.healthcheck.text().contains("CMD-SHELL"));
        for wrong in
            ["", "CMD", "FROM x", "ENV A=\"", "HEALTHCHECK maybe", "HEALTHCHECK --x=1 CMD y"]
        {
            assert!(apply(&mut config, wrong).is_err(), "{wrong}");
        }
    }
}
