//! A layer's archive: copied aside, hashed, and read into its model on the way.

use super::BLOCK;
use super::model::Model;
use crate::layer::parser::Parser;
use base::digest::Sha256;
use base::{Error, OnError, Result};
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

/// A layer's archive on its way aside.
pub(super) struct Spool {
    pub(super) file: File,
    path: PathBuf,
    block: Vec<u8>,
    pub(super) hash: Sha256,
    pub(super) length: u64,
    pub(super) parser: Parser,
    pub(super) model: Model,
    /// What the parser said: a `Write` has no room for it.
    pub(super) failed: Option<Error>,
}

impl Spool {
    pub(super) fn create(path: PathBuf, model: Model) -> Result<Self> {
        let file = File::options().read(true).write(true).create_new(true).open(&path);
        Ok(Self {
            file: file.on_path("create", &path)?,
            path,
            block: Vec::with_capacity(BLOCK),
            hash: Sha256::new(),
            length: 0,
            parser: Parser::new(),
            model,
            failed: None,
        })
    }

    /// The last block, which need not be full.
    pub(super) fn flush_block(&mut self) -> Result<()> {
        self.hash.update(&self.block);
        self.length += self.block.len() as u64;
        self.file.write_all(&self.block).on_path("write", &self.path)?;
        self.parser.feed(&self.block, &mut self.model)?;
        self.block.clear();
        Ok(())
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Always whole blocks, for the record of headers depends on where they end.
        let n = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..n]);
        if self.block.len() == BLOCK
            && let Err(e) = self.flush_block()
        {
            self.failed = Some(e);
            return Err(io::Error::other("the layer cannot be read"));
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
