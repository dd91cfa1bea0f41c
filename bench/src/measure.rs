//! What the kernel knows of a process: the time that it ran, and the memory that it holds.

use std::fs;
use std::time::{Duration, Instant};

use fastws_bench::Result;
use rustix::thread::{CpuSet, sched_setaffinity};

/// How long all threads of a process have run, in nanoseconds, system calls included.
pub(crate) fn cpu_ns(process: u32) -> Result<u64> {
    let mut total = 0;
    for task in fs::read_dir(format!("/proc/{process}/task"))? {
        // A thread may have ended since it was listed.
        let Ok(statistics) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        total += statistics.split(' ').next().ok_or("schedstat is empty")?.parse::<u64>()?;
    }
    Ok(total)
}

/// How many bytes of memory a process holds, those of the kernel's sockets excluded.
pub(crate) fn resident_bytes(process: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS in the process's status")?;
    Ok(1024 * line.trim().trim_end_matches(" kB").parse::<u64>()?)
}

/// How many bytes the kernel holds for all TCP sockets of this machine.
pub(crate) fn kernel_tcp_bytes() -> Result<u64> {
    let statistics = fs::read_to_string("/proc/net/sockstat")?;
    let tcp = statistics.lines().find(|line| line.starts_with("TCP:")).ok_or("no TCP in sockstat")?;
    let pages = tcp.rsplit(' ').next().ok_or("TCP's line in sockstat is empty")?;
    Ok(rustix::param::page_size() as u64 * pages.parse::<u64>()?)
}

/// Waits until a process has next to nothing to do: less than 1 ms in 50 ms, for at most 10 s.
pub(crate) fn wait_until_quiet(process: u32) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut before = cpu_ns(process)?;
    while Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
        let now = cpu_ns(process)?;
        if now - before < 1_000_000 {
            return Ok(());
        }
        before = now;
    }
    Err("the server does not come to rest".into())
}

/// Keeps this thread, and the processes that it starts from now on, on one core.
pub(crate) fn stay_on_core(core: usize) -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    Ok(sched_setaffinity(None, &cores)?)
}
