//! The engine: what all jobs share. It holds no state of containers: that is in the root and run
//! folders, where other commands change it too.

use crate::children::Children;
use crate::container::{Container, Containers, Recent, State, Status};
use crate::jobs::Execs;
use crate::local::{self, Finish, Handle, MainLoop};
use crate::monitor;
use crate::monitor::Policy;
use crate::monitor::control::Control;
use crate::volume::{Volume, Volumes, mounts};
use crate::{events, given, idmaps};
use base::digest::Digest;
use base::files::{Lock, create_dir_all};
use base::folders::Folders;
use base::{Error, Kind, Result};
use imgstore::graphdriver::{RootSource, Writable};
use imgstore::{Image, Options, Store};
use libcontainer::UserNamespace;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// See the module's text.
pub struct Engine {
    folders: Folders,
    driver: Option<String>,
    store: OnceLock<Store>,
    local: Option<Handle>,
    recent: Recent,
    /// The locks of the upper folders of this process's own containers.
    uppers: Mutex<Vec<(String, OwnedFd)>>,
    execs: Execs,
    children: Children,
}

impl Engine {
    /// An engine on these folders. `driver`: the graph driver that was asked for.
    pub fn new(folders: Folders, driver: Option<String>) -> Engine {
        Engine {
            folders,
            driver,
            store: OnceLock::new(),
            local: None,
            recent: Recent::default(),
            uppers: Mutex::new(Vec::new()),
            execs: Execs::default(),
            children: Children::default(),
        }
    }

    /// An engine in a command's own process, the loop for its main thread, and what ends the loop.
    pub fn with_main_loop(
        folders: Folders,
        driver: Option<String>,
    ) -> Result<(Arc<Engine>, MainLoop, Finish)> {
        let (handle, main_loop, finish) = local::pair()?;
        let engine = Engine { local: Some(handle), ..Engine::new(folders, driver) };
        Ok((Arc::new(engine), main_loop, finish))
    }

    /// The next container that is started through this engine has this process as its monitor.
    pub fn keep_foreground(&self) {
        if let Some(local) = &self.local {
            local.want();
        }
    }

    pub(crate) fn folders(&self) -> &Folders {
        &self.folders
    }

    /// The graph driver that was asked for; empty for none.
    pub(crate) fn driver_name(&self) -> &str {
        self.driver.as_deref().unwrap_or("")
    }

    /// The children of this process that nobody waits for.
    pub(crate) fn children(&self) -> &Children {
        &self.children
    }

    /// The exec sessions of this process.
    pub(crate) fn execs(&self) -> &Execs {
        &self.execs
    }

    pub(crate) fn containers(&self) -> Containers<'_> {
        Containers::new(&self.folders, &self.recent)
    }

    pub(crate) fn volumes(&self) -> Volumes {
        Volumes::new(&self.folders.root)
    }

    /// Tells what happened to a container.
    pub(crate) fn tell(&self, container: &Container, action: &str, more: &[(&str, &str)]) {
        events::of_container(&self.folders, &container.record, action, more);
    }

    /// The store, opened at its first use.
    pub(crate) fn store(&self) -> Result<&Store> {
        if let Some(store) = self.store.get() {
            return Ok(store);
        }
        let options = Options { driver: self.driver.clone(), ..Options::default() };
        let store = Store::open(&self.folders, options)?;
        Ok(self.store.get_or_init(|| store))
    }

    /// Whoever is not root: his containers have a user namespace, and neither cgroups nor devices.
    pub(crate) fn is_ordinary(&self) -> bool {
        !rustix::process::geteuid().is_root()
    }

    /// An ordinary user's containers have a user namespace with his id, and his subordinate ones.
    pub(crate) fn user_namespace(&self) -> Option<UserNamespace> {
        let uid = rustix::process::geteuid();
        (!uid.is_root()).then(|| {
            let gid = rustix::process::getegid().as_raw();
            idmaps::of_ordinary_user(uid.as_raw(), gid)
        })
    }

    /// Where containers' roots are mounted, each in its own mount namespace.
    pub(crate) fn mount_point(&self) -> Result<PathBuf> {
        let path = self.folders.run.join("mnt");
        create_dir_all(&path)?;
        Ok(path)
    }

    fn uppers(&self) -> MutexGuard<'_, Vec<(String, OwnedFd)>> {
        self.uppers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A container's root: made at its first start.
    pub(crate) fn root_of(&self, container: &Container, image: &Image) -> Result<RootSource> {
        let volatile = container.is_temporary();
        let driver = self.store()?.driver_called(&container.record.driver)?;
        let quota = given::disk_limit(&container.record.host_config)?;
        let writable = Writable { volatile, quota };
        let root = if base::files::exists(&self.upper_folder(container.id())) {
            driver.existing(container.id(), image, writable)?
        } else {
            driver.create(container.id(), image, writable)?
        };
        self.uppers().push((container.id().to_string(), root.lock));
        Ok(root.source)
    }

    /// A connection to the container's monitor, which is made when there is none.
    pub(crate) fn control(&self, container: &Container) -> Result<Control> {
        let mut found = Control::connect(&container.run);
        // The first one that is made may have only the end of a killed one to write down.
        for _ in 0..3 {
            match found {
                Err(error) if error.kind() == Kind::NotFound => found = self.new_control(container),
                found => return found,
            }
        }
        found
    }

    fn new_control(&self, container: &Container) -> Result<Control> {
        let lock = container.lock()?;
        match Control::connect(&container.run) {
            Err(error) if error.kind() == Kind::NotFound => (),
            // Somebody else has made it meanwhile.
            result => return result,
        }
        let id = container.id();
        match self.local.as_ref().filter(|local| local.take_wish()) {
            Some(local)
                if !container.record.config.tty && local::policy_of(container) == Policy::No =>
            {
                local.begin(id)?;
            }
            _ => monitor::spawn_monitor(self, id)?,
        }
        drop(lock);
        Control::connect(&container.run)
    }

    /// After a container's end: its cgroup goes; so does all of it, if it asked for that.
    /// `exit_code`: it ran, and that is how it ended.
    pub(crate) fn release(&self, id: &str, exit_code: Option<i32>) -> Result<()> {
        let Some(container) = self.containers().open(id)? else { return Ok(()) };
        let Some(_lock) = container.lock_if_there()? else { return Ok(()) };
        match container.state().status {
            // Started again meanwhile.
            Status::Running => Ok(()),
            _ => self.release_ended(&container, exit_code),
        }
    }

    /// The same for one that is known to have ended. The caller holds the container's lock.
    pub(crate) fn release_ended(
        &self,
        container: &Container,
        exit_code: Option<i32>,
    ) -> Result<()> {
        if let Some(code) = exit_code {
            if State::read(&container.run).is_some_and(|state| state.out_of_memory) {
                self.tell(container, "oom", &[]);
            }
            self.tell(container, "die", &[("exitCode", &code.to_string())]);
        }
        let group = container.record.cgroup();
        let mut result = libcontainer::cgroup::remove(&group);
        if result.is_err() {
            // Processes of a container without a PID namespace of its own, or a first process that
            // was killed while a second one was being made.
            result = libcontainer::cgroup::kill(&group).and(libcontainer::cgroup::remove(&group));
        }
        if container.record.host_config.auto_remove {
            let away = self.put_away(container);
            result = result.and(away);
        }
        result
    }

    /// Removes a container that does not run. `Conflict` when somebody has started it meanwhile.
    pub(crate) fn remove(&self, container: &Container) -> Result<()> {
        // Or somebody else has removed it.
        let Some(_lock) = container.lock_if_there()? else { return Ok(()) };
        if State::read(&container.run)
            .is_some_and(|state| state.status == Status::Running && state.is_alive())
        {
            return Err(Error::conflict(format!("container {} is running", container.id())));
        }
        // A worker and its monitor that were killed at a start have left what they made.
        let group = container.record.cgroup();
        let cgroups = libcontainer::cgroup::kill(&group).and(libcontainer::cgroup::remove(&group));
        let away = self.put_away(container);
        cgroups.and(away)
    }

    /// At once what is visible of a container goes, its upper folder in a process that nobody waits
    /// for. Goes on past errors and gives the first. The caller holds the container's lock.
    fn put_away(&self, container: &Container) -> Result<()> {
        let id = container.id();
        let mut result = self.containers().remove(container);
        self.tell(container, "destroy", &[]);
        let image = Digest::parse(&container.record.image)?;
        result = result.and(self.store()?.release(&image, id));
        if container.record.host_config.auto_remove {
            // The others' are removed when they are asked for.
            let volumes = self.remove_volumes(&container.record.anonymous_volumes());
            result = result.and(volumes);
        }
        // Our lock goes, so that the reaper can have it.
        self.leave_upper(id);
        if !base::files::exists(&self.upper_folder(id)) {
            return result;
        }
        result.and(self.reap_aside(id, &container.record.driver))
    }

    /// Removes those of these volumes that no container uses. Goes on past errors and gives the first.
    pub(crate) fn remove_volumes(&self, names: &[String]) -> Result<()> {
        let mut result = Ok(());
        for name in names {
            let removed = match self.volumes().find(name) {
                Ok(volume) => self.remove_volume(&volume),
                Err(error) => Err(error),
            };
            result = result.and(match removed {
                Err(error) if [Kind::NotFound, Kind::Conflict].contains(&error.kind()) => Ok(()),
                other => other,
            });
        }
        result
    }

    /// Removes a volume. `Conflict` with the ids of the containers that use it.
    pub(crate) fn remove_volume(&self, volume: &Volume) -> Result<()> {
        let gone = || Error::not_found(format!("get {}: no such volume", volume.name));
        let lock = volume.own()?.ok_or_else(gone)?;
        let users = self.users_of(&volume.name)?;
        if !users.is_empty() {
            return Err(Error::conflict(format!(
                "remove {}: volume is in use - [{}]",
                volume.name,
                users.join(", ")
            )));
        }
        match self.volumes().remove(volume) {
            // It is out of sight; a process that nobody waits for puts it away.
            Err(error) if error.kind() == Kind::Denied && self.is_ordinary() => {
                // The sweeper leaves alone what somebody holds.
                drop(lock);
                monitor::spawn_sweeper(self)?;
            }
            result => result?,
        }
        events::of(&self.folders, "volume", "destroy", &volume.name, &[("driver", "local")]);
        Ok(())
    }

    /// The ids of the containers that use a volume.
    pub(crate) fn users_of(&self, volume: &str) -> Result<Vec<String>> {
        let containers = self.containers().list()?;
        let users = containers.iter().filter(|one| mounts::uses(&one.record, volume));
        Ok(users.map(|one| one.id().to_string()).collect())
    }

    /// Puts away volumes that a killed command has left, and those of containers that ended with
    /// the power.
    pub(crate) fn sweep_volumes(&self) -> Result<()> {
        let volumes = self.volumes();
        volumes.sweep()?;
        let list = volumes.list()?;
        let temporary = list.iter().filter(|volume| volume.record.temporary);
        let names: Vec<String> = temporary.map(|volume| volume.name.clone()).collect();
        self.remove_volumes(&names)
    }

    /// Gives back the lock of a container's upper folder.
    pub(crate) fn leave_upper(&self, id: &str) {
        self.uppers().retain(|(other, _)| other != id);
    }

    fn upper_folder(&self, id: &str) -> PathBuf {
        self.folders.root.join("uppers").join(id)
    }

    /// Removes an upper folder in a process that nobody waits for; it holds the folder's flock. A
    /// process with one thread is simply copied, which costs half of a program's start.
    fn reap_aside(&self, id: &str, driver: &str) -> Result<()> {
        let reap = || {
            if let Err(error) = self.reap(id, driver) {
                base::log::debug(error.message());
            }
        };
        match base::sys::spawn::aside(reap) {
            Ok(true) => Ok(()),
            _ => monitor::spawn_reaper(self, id, driver),
        }
    }

    /// What a reaper does.
    pub(crate) fn reap(&self, id: &str, driver: &str) -> Result<()> {
        let driver = self.store()?.driver_called(driver)?;
        driver.remove(id).or_else(|error| {
            self.become_root(error)?;
            driver.remove(id)
        })
    }

    /// What the containers' users have made, an ordinary user removes as the root of all his ids: a
    /// process with one thread can become that. Else the error is told.
    pub(crate) fn become_root(&self, error: Error) -> Result<()> {
        match self.user_namespace().filter(|ids| ids.rest.is_some()) {
            Some(ids) if error.kind() == Kind::Denied => {
                libcontainer::subordinate::become_root(&ids)
            }
            _ => Err(error),
        }
    }

    /// Puts away upper folders without a container, which a killed removal has left. One whose lock
    /// somebody holds is in use, or on its way out.
    pub(crate) fn sweep_uppers(&self) -> Result<()> {
        let Ok(entries) = std::fs::read_dir(self.folders.root.join("uppers")) else {
            return Ok(());
        };
        for entry in entries.flatten() {
            let Ok(id) = entry.file_name().into_string() else { continue };
            // Gone meanwhile, or one that cannot be judged: the others are looked at all the same.
            let is_free = matches!(self.containers().open(&id), Ok(None))
                && matches!(Lock::try_exclusive(&entry.path()), Ok(Some(_)));
            if !is_free {
                continue;
            }
            let _ = libcontainer::cgroup::kill(&id).and(libcontainer::cgroup::remove(&id));
            // Both drivers remove the same folder.
            self.reap_aside(&id, "overlay")?;
        }
        Ok(())
    }

    /// Puts away what a killed command or monitor has left of a container that asked to be removed
    /// at its end. Gives whether it is gone.
    pub(crate) fn heal(&self, container: &Container) -> bool {
        let dead = State::read(&container.run)
            .is_some_and(|state| state.status != Status::Created && !state.is_alive());
        if !dead || !container.record.host_config.auto_remove {
            return false;
        }
        // A monitor that is still there is about to do it.
        if !matches!(Control::connect(&container.run), Err(error) if error.kind() == Kind::NotFound)
        {
            return false;
        }
        match self.release(container.id(), None) {
            Ok(()) => true,
            Err(error) => {
                base::log::warn(error.message());
                false
            }
        }
    }
}

/// The message of a container's state that forbids what was asked.
pub(crate) fn not_running(id: &str) -> Error {
    Error::conflict(format!("Container {id} is not running"))
}
