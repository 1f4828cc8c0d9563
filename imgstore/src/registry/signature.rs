//! Signatures as cosign makes them: a second image `sha256-DIGEST.sig` in the same repository, each
//! layer of which is a small document about the first, with a signature of it in an annotation.
//!
//! A document is believed if the key of the policy has signed its bytes (ECDSA on P-256, SHA-256), and
//! then counts only for the digest and the name that it has.

use super::manifest;
use super::policy::{Policy, Requirement};
use super::session::Session;
use crate::archive::documents::{self, Descriptor};
use crate::reference::Reference;
use base::digest::Digest;
use base::text::base64;
use base::{Error, Kind, Result, json, json_object};

const PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const ANNOTATION: &str = "dev.cosignproject.cosign/signature";
const TYPE: &str = "cosign container image signature";
/// More are not looked at.
const MOST: usize = 50;

json_object! {
    #[derive(Default)]
    struct Payload {
        "critical" => critical: Critical,
    }
}

json_object! {
    #[derive(Default)]
    struct Critical {
        "identity" => identity: Identity,
        "image" => image: Image,
        "type" => kind: String,
        // What is critical and not known may say the opposite.
        ..rest: json::Rest,
    }
}

json_object! {
    #[derive(Default)]
    struct Identity {
        "docker-reference" => reference: String,
        ..rest: json::Rest,
    }
}

json_object! {
    #[derive(Default)]
    struct Image {
        "docker-manifest-digest" => digest: Digest,
        ..rest: json::Rest,
    }
}

/// A document that is needed to judge an image.
#[derive(Clone, Copy)]
pub(crate) enum Wanted<'a> {
    /// The manifest with this tag, whose layers are signatures.
    Signatures(&'a str),
    /// One of those layers.
    Payload(&'a Digest),
}

/// Where it comes from: a registry or an archive. None where there is none.
pub(crate) type Get<'a> = &'a mut dyn FnMut(Wanted<'_>) -> Result<Option<Vec<u8>>>;

/// Lets an image of a registry in or not.
pub(crate) fn check(
    policy: &Policy,
    session: &Session<'_>,
    name: &Reference,
    digests: &[Digest],
) -> Result<()> {
    check_with(policy, Some(name), digests, &mut |wanted| {
        let (target, kind) = match wanted {
            Wanted::Signatures(tag) => (["manifests/", tag].concat(), manifest::OCI_MANIFEST),
            Wanted::Payload(digest) => (["blobs/", &digest.to_string()].concat(), ""),
        };
        match session.document(&session.target(&target), kind) {
            Ok((_, text)) => Ok(Some(text)),
            Err(e) if e.kind() == Kind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    })
}

/// Lets an image in or not. `digests`: of what the name stands for, and of the manifest chosen from it;
/// whoever signed the first signed the second. An image without a name is none of a registry's: what the
/// policy says of everything counts.
pub(crate) fn check_with(
    policy: &Policy,
    name: Option<&Reference>,
    digests: &[Digest],
    get: Get<'_>,
) -> Result<()> {
    let refused = |why: &str| {
        let name = name.map_or("an image without a name".to_string(), Reference::familiar);
        let text = ["Source image rejected: ", &name, ": ", why];
        Error::new(Kind::BadInput, text.concat())
    };
    let mut signatures = None;
    for requirement in policy.of(name)? {
        match requirement {
            Requirement::Anything => {}
            Requirement::Nothing => return Err(refused("the policy lets nothing in from there")),
            Requirement::Signed { key, names } => {
                let key = PublicKey::parse(&key)?;
                let all = match &signatures {
                    Some(all) => all,
                    None => signatures.insert(fetch(get, digests)?),
                };
                let mut last = "no signature is there";
                let good = all.iter().any(|(digest, payload, signature)| {
                    match judge(payload, signature, &key, digest) {
                        Ok(signed) if names.fits(&signed, name) => return true,
                        Ok(_) => last = "it is signed under another name",
                        Err(why) => last = why,
                    }
                    false
                });
                if !good {
                    return Err(refused(last));
                }
            }
        }
    }
    Ok(())
}

/// The name that a signature is for, if it is one of this digest by this key.
fn judge(
    payload: &[u8],
    signature: &[u8],
    key: &PublicKey,
    digest: &Digest,
) -> std::result::Result<String, &'static str> {
    if !key.has_signed(payload, signature) {
        return Err("no signature is by the key of the policy");
    }
    let Ok(Payload { critical }) = json::parse::<Payload>(payload) else {
        return Err("what is signed cannot be read");
    };
    let Critical { identity, image, kind, rest } = critical;
    if kind != TYPE || !rest.is_empty() || !identity.rest.is_empty() || !image.rest.is_empty() {
        return Err("what is signed is of a kind that is not known");
    }
    if image.digest != *digest {
        return Err("what is signed is another image");
    }
    Ok(identity.reference)
}

/// A digest, what is said of it, and a signature of that.
type Signature = (Digest, Vec<u8>, Vec<u8>);

/// All that is there for these digests.
fn fetch(get: Get<'_>, digests: &[Digest]) -> Result<Vec<Signature>> {
    let mut found = Vec::new();
    let mut digests = digests.to_vec();
    digests.dedup();
    for digest in digests {
        let tag = ["sha256-", &digest.hex(), ".sig"].concat();
        let Some(text) = get(Wanted::Signatures(&tag))? else { continue };
        let document = documents::parse(&text, "").map_err(|e| e.context("signature"))?;
        let is = |layer: &&Descriptor| layer.media_type == PAYLOAD && layer.size <= 1 << 20;
        let layers = document.layers.unwrap_or_default();
        for layer in layers.iter().filter(is).take(MOST) {
            let Some(text) = layer.annotations.get(ANNOTATION) else { continue };
            let Some(signature) = base64::decode(text.trim()) else { continue };
            let Some(payload) = get(Wanted::Payload(&layer.digest))? else { continue };
            if Digest::of(&payload) == layer.digest {
                found.push((digest, payload, signature));
            }
        }
    }
    Ok(found)
}

/// A public key on the curve P-256.
struct PublicKey {
    #[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "nothing verifies"))]
    point: Vec<u8>,
}

impl PublicKey {
    /// From PEM: SubjectPublicKeyInfo (RFC 5480), whose first bytes are always the same.
    #[cfg(feature = "tls")]
    fn parse(pem: &[u8]) -> Result<Self> {
        const START: [u8; 26] = [
            0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
            0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
        ];
        let wrong = || Error::unsupported("policy: only public keys on P-256 in PEM are known");
        let text = std::str::from_utf8(pem).map_err(|_| wrong())?;
        let inner = text
            .split_once("-----BEGIN PUBLIC KEY-----")
            .and_then(|(_, rest)| rest.split_once("-----END PUBLIC KEY-----"))
            .map(|(inner, _)| inner.split_whitespace().collect::<String>());
        let der = inner.and_then(|text| base64::decode(&text)).ok_or_else(wrong)?;
        match der.strip_prefix(&START[..]) {
            Some(point) if point.len() == 65 && point[0] == 4 => Ok(Self { point: point.to_vec() }),
            _ => Err(wrong()),
        }
    }

    /// The set without TLS has no signatures either.
    #[cfg(not(feature = "tls"))]
    fn parse(_: &[u8]) -> Result<Self> {
        Err(Error::unsupported(
            "the policy asks for signatures, which this program was built without (feature tls)",
        ))
    }

    #[cfg(feature = "tls")]
    fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.point);
        key.verify(message, signature).is_ok()
    }

    #[cfg(not(feature = "tls"))]
    fn has_signed(&self, _: &[u8], _: &[u8]) -> bool {
        false
    }
}
