//! SIMD chosen at run time.
//!
//! The kernels are plain Rust loops over a fixed number of lanes ([`crate::block`]); this module compiles the same
//! source once per instruction set and picks one when it is called, which is once per block. No intrinsics, no fused
//! multiply-add: every level adds the same numbers in the same order, so all give the same bits.
//!
//! What keeps the optimiser on the lanes, learnt from its output: each kernel is a function of its own, it has one
//! inner loop per accumulator, and it returns its lanes as they are. Where a kernel adds them up itself, they are packed
//! in the order of that addition, two at a time.

/// An instruction set that the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(Set);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    Baseline,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// What every machine of this architecture can do: SSE2 on x86-64, NEON on AArch64.
    pub const BASELINE: Level = Level(Set::Baseline);

    /// The levels this machine can run, slowest first. A level exists only where the machine has it.
    pub fn available() -> Vec<Level> {
        let levels = vec![Level::BASELINE];
        #[cfg(target_arch = "x86_64")]
        let levels = {
            let mut levels = levels;
            if has_avx2() {
                levels.push(Level(Set::Avx2));
            }
            if has_avx512() {
                levels.push(Level(Set::Avx512));
            }
            levels
        };
        levels
    }

    /// The fastest level this machine can run.
    #[inline]
    pub fn best() -> Level {
        #[cfg(target_arch = "x86_64")]
        {
            if has_avx512() {
                return Level(Set::Avx512);
            }
            if has_avx2() {
                return Level(Set::Avx2);
            }
        }
        Level::BASELINE
    }

    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self.0 {
            Set::Baseline => "baseline",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "AVX2",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "AVX-512",
        }
    }

    /// Runs `kernel` compiled for this level.
    #[inline]
    pub fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            Set::Baseline => run_baseline(kernel),
            // SAFETY: such a level is made in this module alone, after the machine was seen to have the features.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => unsafe { run_avx2(kernel) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => unsafe { run_avx512(kernel) },
        }
    }
}

/// A loop that is compiled for each level. `run` and all it calls must be `#[inline(always)]`: code that is not inlined
/// into the level's entry point is compiled for the baseline.
pub trait Kernel {
    /// What it computes.
    type Output;

    /// The loop.
    fn run(self) -> Self::Output;
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi1") && is_x86_feature_detected!("bmi2")
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn has_avx512() -> bool {
    // The compiler takes FMA and F16C for granted with AVX-512; a hypervisor may hide them.
    has_avx2()
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c")
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
}

#[inline(never)]
fn run_baseline<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,avx512f,avx512bw,avx512dq,avx512vl")]
fn run_avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}
