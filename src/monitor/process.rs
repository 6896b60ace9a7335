//! `process_*`: what the kernel says of this process, by the names of all Prometheus clients.

use super::page::Page;
use std::fs;

/// Ticks of a second in `/proc`: a constant of Linux's interface to programs (USER_HZ).
const TICKS: f64 = 100.0;

/// Writes what can be read; nothing where there is no `/proc`.
pub(super) fn write(page: &mut Page) {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let booted = fs::read_to_string("/proc/stat").unwrap_or_default();
    if let Some(seconds) = cpu_s(&stat) {
        let mut family = page.counter(
            "process_cpu_seconds_total",
            "Processor time, user and system.",
        );
        family.sample(&[], seconds);
    }
    let mut gauge = |name, help, value: Option<f64>| {
        if let Some(value) = value {
            page.gauge(name, help).sample(&[], value);
        }
    };
    gauge(
        "process_resident_memory_bytes",
        "Memory in use.",
        kilobytes(&status, "VmRSS:"),
    );
    gauge(
        "process_virtual_memory_bytes",
        "Address space in use.",
        kilobytes(&status, "VmSize:"),
    );
    gauge(
        "process_threads",
        "Threads.",
        number_after(&status, "Threads:"),
    );
    gauge(
        "process_open_fds",
        "Open file descriptors.",
        fs::read_dir("/proc/self/fd")
            .ok()
            .map(|folder| folder.count() as f64),
    );
    gauge(
        "process_max_fds",
        "Limit of open file descriptors.",
        number_after(&limits, "Max open files"),
    );
    gauge(
        "process_start_time_seconds",
        "When the process started, since 1970.",
        start_s(&stat, &booted),
    );
}

/// Fields of `/proc/self/stat` after the name of the program, which may have spaces in it; the
/// first is field 3 of proc(5).
fn fields(stat: &str) -> Option<Vec<&str>> {
    let (_, after) = stat.rsplit_once(')')?;
    Some(after.split_ascii_whitespace().collect())
}

fn field(stat: &str, number: usize) -> Option<f64> {
    fields(stat)?.get(number - 3)?.parse().ok()
}

fn cpu_s(stat: &str) -> Option<f64> {
    Some((field(stat, 14)? + field(stat, 15)?) / TICKS)
}

fn start_s(stat: &str, booted: &str) -> Option<f64> {
    Some(number_after(booted, "btime")? + field(stat, 22)? / TICKS)
}

fn number_after(text: &str, word: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(word))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

fn kilobytes(status: &str, word: &str) -> Option<f64> {
    number_after(status, word).map(|kilobytes| kilobytes * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str =
        "1234 (we ir) S) S 1 1234 1234 0 -1 4194304 900 0 0 0 150 50 0 0 20 0 4 0 12345 1000 2000";

    #[test]
    fn a_name_with_spaces_and_brackets_shifts_no_field() {
        assert_eq!(cpu_s(STAT), Some(2.0));
        assert_eq!(start_s(STAT, "cpu 1\nbtime 1000\n"), Some(1123.45));
    }

    #[test]
    fn words_are_found_at_the_beginning_of_their_line() {
        let status = "VmPeak:\t 10 kB\nVmRSS:\t    2048 kB\n";
        assert_eq!(kilobytes(status, "VmRSS:"), Some(2_097_152.0));
        let limits = "Max open files            1024                 524288               files";
        assert_eq!(number_after(limits, "Max open files"), Some(1024.0));
        assert_eq!(cpu_s("nonsense"), None);
    }
}
