//! What is on disk for a while, and how much of it there may be.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::{AcquireError, OwnedSemaphorePermit};

/// How often it is looked how much a program has written by now.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Room on disk. No semaphore is ever closed.
pub(super) type Room = Result<OwnedSemaphorePermit, AcquireError>;

/// A folder that is removed when nobody needs it any more: off the async threads, for it may be
/// large. Room that it was given is free when it is gone, and not before.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
    folder: Option<TempDir>,
    room: Option<Room>,
}

impl Scratch {
    pub(super) fn new(folder: TempDir) -> Self {
        Self {
            path: folder.path().to_owned(),
            folder: Some(folder),
            room: None,
        }
    }

    pub(super) fn in_room(mut self, room: Room) -> Self {
        self.room = Some(room);
        self
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let (folder, room) = (self.folder.take(), self.room.take());
        let remove = move || {
            drop(folder);
            drop(room);
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}

/// Runs `work`, which writes to `folder`, for as long as that takes no more than `max` bytes.
/// `None` if it has come to take more: then the work was stopped, or is done in vain.
pub(super) async fn within<T>(folder: &Path, max: u64, work: impl Future<Output = T>) -> Option<T> {
    let outgrown = async {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if size_of(folder).await > max {
                return;
            }
        }
    };
    let done = tokio::select! {
        done = work => done,
        () = outgrown => return None,
    };
    (size_of(folder).await <= max).then_some(done)
}

/// What a folder takes. What vanishes meanwhile, or can't be read, counts for nothing.
pub(super) async fn size_of(folder: &Path) -> u64 {
    let folder = folder.to_owned();
    let sized = tokio::task::spawn_blocking(move || size(folder)).await;
    sized.unwrap_or(0)
}

fn size(folder: PathBuf) -> u64 {
    let mut ahead = vec![folder];
    let mut bytes = 0_u64;
    while let Some(folder) = ahead.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            // That of a link itself.
            let Ok(about) = entry.metadata() else {
                continue;
            };
            if about.is_dir() {
                ahead.push(entry.path());
            }
            // A small file takes a whole block; some file systems count blocks late.
            let taken = about.len().max(about.blocks().saturating_mul(512));
            bytes = bytes.saturating_add(taken);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::sync::Semaphore;

    async fn until(is_so: impl Fn() -> bool) {
        for _ in 0..500 {
            if is_so() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it does not come to that");
    }

    #[tokio::test]
    async fn room_is_free_when_the_folder_is_gone() {
        let all = Arc::new(Semaphore::new(1));
        let room = all.clone().acquire_owned().await;
        let scratch = Scratch::new(tempfile::tempdir().unwrap()).in_room(room);
        let path = scratch.path().to_owned();
        std::fs::write(path.join("x"), "x").unwrap();
        assert_eq!(all.available_permits(), 0);
        drop(scratch);
        until(|| all.available_permits() == 1).await;
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn what_takes_too_much_is_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let write = async |bytes: usize| std::fs::write(path.join("x"), "x".repeat(bytes)).unwrap();
        assert_eq!(within(&path, 100_000, write(50_000)).await, Some(()));
        // Also where it was quicker than we are.
        assert_eq!(within(&path, 100_000, write(150_000)).await, None);
        let endless = async {
            write(150_000).await;
            std::future::pending::<()>().await;
        };
        assert_eq!(within(&path, 100_000, endless).await, None);
    }
}
