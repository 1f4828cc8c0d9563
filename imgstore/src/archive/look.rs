//! Looking at the images of an archive without unpacking them: for `bake`.

use super::documents::Platform;
use super::source::Source;
use super::{LoadEvent, Loader, Wanted, layout, repository_of};
use crate::commit::NewImage;
use crate::layer::content::Content;
use crate::store::{Store, Work};
use base::{OnError, Result};
use std::fs::File;
use std::io::{Seek, Write};
use std::path::Path;

/// An image in an archive, and where its layers are there.
pub(crate) struct Found {
    pub(crate) image: NewImage,
    pub(crate) blobs: Vec<Wanted>,
}

impl Store {
    /// Looks at the images of a folder with an OCI layout or of an archive, and unpacks nothing.
    pub(crate) fn images_of(
        &self,
        path: &Path,
        work: &Work,
        platform: Option<&Platform>,
    ) -> Result<(Source, Vec<Found>)> {
        let source = if path.is_dir() {
            layout(path)?
        } else {
            let mut file = File::open(path).on_path("open", path)?;
            base::checksum::verify(path, &file)?;
            let packed = Content::new(&mut file)?.is_packed();
            if packed || file.rewind().is_err() {
                // Its parts are read in another order than they come in.
                let mut file = File::open(path).on_path("open", path)?;
                let mut content = Content::new(&mut file)?;
                content.allow_window(self.window);
                Source::tar(unpacked(content, &work.path.join("plain"))?)?
            } else {
                Source::tar(file)?
            }
        };
        let events = &mut |_: LoadEvent<'_>| ();
        let mut loader = Loader::new(self, work, source, repository_of(path), events)?;
        (loader.platform, loader.found) = (platform, Some(Vec::new()));
        loader.read()?;
        Ok((loader.source, loader.found.unwrap_or_default()))
    }
}

/// A compressed archive as a plain one in a file.
fn unpacked(mut content: Content<'_>, path: &Path) -> Result<File> {
    let file = File::options().read(true).write(true).create_new(true).open(path);
    let mut file = file.on_path("create", path)?;
    let mut block = vec![0; 64 << 10];
    loop {
        match content.read_some(&mut block)? {
            0 => break,
            n => file.write_all(&block[..n]).on_path("write", path)?,
        }
    }
    file.rewind().on_path("read", path)?;
    Ok(file)
}
