//! Work over many units on the machine's few cores.

use std::sync::atomic::{AtomicUsize, Ordering};

/// How many units one thread takes at a time.
const CHUNK: usize = 8;
/// Below this many units, starting threads costs more than they save.
const MIN_UNITS: usize = 24;
/// More threads than this do not help: memory is the limit.
const MAX_THREADS: usize = 8;

/// Runs `work` for each of `0..count` and gives what each thread gathered.
///
/// `work` adds what it finds to its thread's own `T`; the order of the units
/// within and among those is not defined.
pub(crate) fn gather<T: Default + Send>(
    count: usize,
    work: impl Fn(usize, &mut T) + Sync,
) -> Vec<T> {
    let threads = if count < MIN_UNITS { 1 } else { MAX_THREADS };
    gather_on(threads, CHUNK, count, work)
}

/// The same for pieces that are each as much work as many units.
pub(crate) fn gather_pieces<T: Default + Send>(
    count: usize,
    work: impl Fn(usize, &mut T) + Sync,
) -> Vec<T> {
    gather_on(count.min(MAX_THREADS), 1, count, work)
}

/// Runs it on so many threads, as far as there are cores, each of which takes
/// `chunk` of them at a time.
fn gather_on<T: Default + Send>(
    threads: usize,
    chunk: usize,
    count: usize,
    work: impl Fn(usize, &mut T) + Sync,
) -> Vec<T> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.min(cores);
    let next = AtomicUsize::new(0);
    let run = || {
        let mut gathered = T::default();
        loop {
            let start = next.fetch_add(chunk, Ordering::Relaxed);
            if start >= count {
                return gathered;
            }
            for index in start..(start + chunk).min(count) {
                work(index, &mut gathered);
            }
        }
    };
    if threads <= 1 {
        return vec![run()];
    }
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        let mut all = vec![run()];
        for other in others {
            all.push(
                other
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            );
        }
        all
    })
}
