//! Temperature, throttling and supply voltage.

use super::Finding;
use crate::board::Thermal;
use crate::board::thermal::Reading;

/// Returns the findings about a reading.
pub fn heat(reading: &Reading, thermal: &Thermal) -> Vec<Finding> {
    let limits = thermal.limits();
    let cool = "give it air or a heat sink";
    let mut findings = vec![match reading.millicelsius {
        None => Finding::warn(
            "temperature",
            "no sensor",
            "the frame rate is not lowered in heat: set [thermal] in the board file",
        ),
        Some(now) => {
            let found = format!("{}.{} degrees Celsius", now / 1000, (now % 1000).unsigned_abs() / 100);
            match now {
                _ if now >= limits.pause => Finding::fail("temperature", format!("{found}: work is paused"), cool),
                _ if now >= limits.half => {
                    Finding::warn("temperature", format!("{found}: the frame rate is lowered"), cool)
                }
                _ => Finding::ok("temperature", found),
            }
        }
    }];
    if let Some(throttle) = reading.throttle {
        let supply = "use the supply that the board's maker names, and a short cable";
        findings.push(if throttle.is_under_voltage() {
            Finding::warn("throttling", "the supply voltage is too low", supply)
        } else if throttle.is_slow() {
            Finding::warn("throttling", "the firmware lowers the clock", cool)
        } else if throttle.was_under_voltage() {
            Finding::warn("throttling", "the supply voltage was too low since the board started", supply)
        } else if throttle.was_slow() {
            Finding::warn("throttling", "the firmware lowered the clock since the board started", cool)
        } else {
            Finding::ok("throttling", "none since the board started")
        });
    }
    findings
}
