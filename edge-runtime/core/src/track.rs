//! Tracks faces over time: detections become tracks with stable numbers, which are followed between detections.
//!
//! The tracker computes in integers and has a fixed capacity. It predicts a track by its velocity (an alpha-beta filter), corrects
//! it by a patch of luma between detections, and matches it to detections by place, size and patch. A face that is hidden or has
//! left keeps its number for [`TrackLimits::memory_ms`]; if it comes back later, it is a new track. A face in view is never
//! forgotten, however slowly frames come; [`Tracker::aging`] says when to run the detector again.

use crate::align::{KeyPoints, Point};
use crate::patch::Patch;
use crate::{Bounds, View};

/// The most faces that can be tracked at once.
pub const MAX_FACES: usize = 16;

/// The weight of a detection in a track's new place, in 16ths; the rest is the prediction's (alpha).
const PLACE_GAIN: i64 = 11;
/// The weight of the difference between detection and prediction in a track's velocity, in 16ths (beta).
const VELOCITY_GAIN: i64 = 5;
/// A detection further away than this, in 256ths of a face's width, belongs to another face.
const MAX_DISTANCE: i64 = 180;
/// How much further away a hidden face may reappear, in 256ths of its width per second.
const HIDDEN_REACH: i64 = 256;
/// Patches that differ by more than this, in 256ths, show different things.
const MAX_DIFFERENCE: u32 = 150;
/// Beyond this difference (of 256) from one frame to the next, a track may be following something else than its face.
const MAX_FOLLOWED_DIFFERENCE: u32 = 80;
/// What a completely different patch adds to the cost of a match, in 256ths of a face's width.
const PATCH_COST: i64 = 96;
/// Velocities are clamped to this many face widths per second.
const MAX_SPEED: i64 = 8;
/// Nanoseconds per millisecond.
const MS: u64 = 1_000_000;

/// A detected face.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detection {
    /// The face box.
    pub bounds: Bounds,
    /// Whether the face stands on its head.
    pub upside_down: bool,
    /// The eyes, the one on the left of an upright picture first.
    pub eyes: [Point; 2],
    /// The tip of the nose.
    pub nose: Point,
    /// The centre of the mouth.
    pub mouth: Point,
}

impl Detection {
    /// Returns the key points that determine the alignment.
    pub fn key_points(&self) -> KeyPoints {
        KeyPoints { eyes: self.eyes, mouth: self.mouth }
    }

    /// Returns the detection with its points moved by 1/16 pixels.
    fn moved(mut self, by: [i32; 2]) -> Detection {
        let shift = |point: &mut Point| *point = point.moved(by);
        self.eyes.iter_mut().chain([&mut self.nose, &mut self.mouth]).for_each(shift);
        // Boxes are whole pixels; the track carries the fraction.
        self
    }
}

/// When tracks begin and end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackLimits {
    /// The number of detections after which a face becomes a track. 1 for unrelated pictures.
    pub confirm: u8,
    /// How long a hidden face is remembered, in milliseconds.
    pub memory_ms: u16,
}

impl Default for TrackLimits {
    fn default() -> TrackLimits {
        TrackLimits { confirm: 2, memory_ms: 2000 }
    }
}

/// A face over time.
#[derive(Debug, Clone)]
pub struct Track {
    id: u32,
    /// The centre of the face box in 1/16 pixel.
    centre: [i32; 2],
    /// The width and height of the face box in 1/16 pixel.
    size: [i32; 2],
    points: Detection,
    /// The velocity in 1/16 pixel per second.
    velocity: [i64; 2],
    patch: Patch,
    now: u64,
    seen: u64,
    detections: u8,
    hidden: bool,
    /// Whether what is at its place no longer looks like its face.
    doubtful: bool,
}

impl Track {
    /// Returns the track's number, from 1, or 0 while it is unconfirmed.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Returns box and key points at the time of the last frame.
    pub fn face(&self) -> Detection {
        let corner = |axis: usize| (self.centre[axis] - self.size[axis] / 2 + 8).div_euclid(16);
        let side = |axis: usize| ((self.size[axis] + 8) / 16).clamp(0, i32::from(u16::MAX)) as u16;
        let [left, top] = [0, 1].map(|axis| corner(axis).clamp(i16::MIN.into(), i16::MAX.into()) as i16);
        Detection { bounds: Bounds { left, top, width: side(0), height: side(1) }, ..self.points }
    }

    fn new(face: &Detection, view: View<'_>, now: u64) -> Track {
        let (centre, size) = placed(face);
        let patch = Patch::new(view, centre, size[0]);
        Track {
            id: 0,
            centre,
            size,
            points: *face,
            velocity: [0; 2],
            patch,
            now,
            seen: now,
            detections: 1,
            hidden: false,
            doubtful: false,
        }
    }

    /// Moves the track to its predicted place at `now`.
    fn predict(&mut self, now: u64) {
        let elapsed = (now.saturating_sub(self.now) / 1000).min(1_000_000) as i64;
        self.shift([0, 1].map(|axis| (self.velocity[axis] * elapsed / 1_000_000) as i32));
        self.now = now;
    }

    fn shift(&mut self, by: [i32; 2]) {
        (0..2).for_each(|axis| self.centre[axis] = self.centre[axis].saturating_add(by[axis]));
        self.points = self.points.moved(by);
    }

    /// Corrects the predicted place and the velocity by a detection.
    fn correct(&mut self, face: &Detection, view: View<'_>) {
        let (centre, size) = placed(face);
        let elapsed = ((self.now.saturating_sub(self.seen)) / 1000).max(1000) as i64;
        let surprise = [0, 1].map(|axis| i64::from(centre[axis] - self.centre[axis]));
        // The second detection gives the velocity; later ones correct it.
        let gain = if self.detections == 1 { 16 } else { VELOCITY_GAIN };
        let fastest = MAX_SPEED * i64::from(size[0].max(16));
        for (velocity, surprise) in self.velocity.iter_mut().zip(surprise) {
            let change = gain * surprise * 1_000_000 / (16 * elapsed);
            *velocity = (*velocity + change).clamp(-fastest, fastest);
        }
        // The prediction of a hidden face is worth little.
        let gain = if self.hidden { 16 } else { PLACE_GAIN };
        let blend = |old: i32, new: i32| old + (gain * i64::from(new - old) / 16) as i32;
        let both = |old: [i32; 2], new: [i32; 2]| [blend(old[0], new[0]), blend(old[1], new[1])];
        (self.centre, self.size) = (both(self.centre, centre), both(self.size, size));
        let point = |old: Point, new: Point| Point::from_sixteenths(blend(old.x(), new.x()), blend(old.y(), new.y()));
        let (old, new) = (self.points, *face);
        self.points = Detection {
            bounds: new.bounds,
            upside_down: new.upside_down,
            eyes: [point(old.eyes[0], new.eyes[0]), point(old.eyes[1], new.eyes[1])],
            nose: point(old.nose, new.nose),
            mouth: point(old.mouth, new.mouth),
        };
        self.patch = Patch::new(view, centre, size[0]);
        (self.seen, self.hidden, self.doubtful) = (self.now, false, false);
        self.detections = self.detections.saturating_add(1);
    }

    /// Returns how badly a detection fits, in 256ths of the face's width, or `None` if it belongs to another face.
    fn cost(&self, face: &Detection, patch: &Patch) -> Option<i64> {
        let (centre, size) = placed(face);
        let width = i64::from(self.size[0].max(size[0]).max(16));
        let [x, y] = [0, 1].map(|axis| i64::from(centre[axis] - self.centre[axis]));
        let distance = ((x * x + y * y) as u64).isqrt() as i64 * 256 / width;
        let sizes = 256 * i64::from((self.size[0] - size[0]).abs()) / width;
        let different = i64::from(self.patch.difference(patch));
        // A hidden face may have moved elsewhere than predicted; its patch identifies it.
        let hidden = (self.now.saturating_sub(self.seen) / MS) as i64 * HIDDEN_REACH / 1000;
        let is_near = distance <= MAX_DISTANCE;
        let is_back = self.hidden && distance <= MAX_DISTANCE + hidden && different <= i64::from(MAX_DIFFERENCE);
        ((is_near || is_back) && sizes <= 128).then_some(distance + sizes / 2 + different * PATCH_COST / 256)
    }
}

/// Returns the centre and size of a face box in 1/16 pixel.
fn placed(face: &Detection) -> ([i32; 2], [i32; 2]) {
    let Bounds { left, top, width, height } = face.bounds;
    let size = [width, height].map(|side| 16 * i32::from(side));
    ([16 * i32::from(left) + size[0] / 2, 16 * i32::from(top) + size[1] / 2], size)
}

/// The tracks of one camera or video.
#[derive(Debug, Default)]
pub struct Tracker {
    limits: TrackLimits,
    tracks: heapless::Vec<Track, MAX_FACES>,
    last: u32,
}

impl Tracker {
    /// Creates a tracker without tracks.
    pub fn new(limits: TrackLimits) -> Tracker {
        Tracker { limits, ..Tracker::default() }
    }

    /// Forgets every track. Numbers are not reused.
    pub fn clear(&mut self) {
        self.tracks.clear();
    }

    /// Returns the confirmed faces that are in the frame.
    pub fn faces(&self) -> impl Iterator<Item = &Track> {
        self.tracks.iter().filter(|track| track.id > 0 && !track.hidden)
    }

    /// Returns whether the track with this number is in the frame or remembered.
    pub fn remembers(&self, id: u32) -> bool {
        self.tracks.iter().any(|track| track.id == id)
    }

    /// Returns whether a face needs another detection to become a track.
    pub fn unconfirmed(&self) -> bool {
        self.tracks.iter().any(|track| track.id == 0)
    }

    /// Returns whether a face in view was last detected so long ago that the tracker may be following background that resembles it.
    pub fn aging(&self, now: u64) -> bool {
        let half = u64::from(self.limits.memory_ms) * MS / 2;
        self.faces().any(|track| now.saturating_sub(track.seen) >= half)
    }

    /// Whether a track in sight no longer looks like its face, because the scene was cut or something moved in front of it:
    /// only the detector can tell whether the face is still there.
    pub fn in_doubt(&self) -> bool {
        self.faces().any(|track| track.doubtful)
    }

    /// Returns whether there are faces, and all of them are confirmed, in sight and look like themselves: then the detector finds
    /// them where they were.
    pub fn is_settled(&self) -> bool {
        !self.tracks.is_empty() && self.tracks.iter().all(|track| track.id > 0 && !track.hidden && !track.doubtful)
    }

    /// Takes a frame at `now` (ns, monotonic) on which the detector did not run: tracks follow their patches in `view`.
    pub fn follow(&mut self, view: View<'_>, now: u64) {
        for track in &mut self.tracks {
            track.predict(now);
            if track.hidden {
                continue;
            }
            let (by, difference) = track.patch.search(view, track.centre, track.size[0]);
            track.doubtful = difference > MAX_FOLLOWED_DIFFERENCE;
            if !track.doubtful {
                track.shift(by);
            }
        }
        self.forget(now);
    }

    /// Takes a frame at `now` (ns, monotonic) in which `faces` were detected, in descending order of score. Faces beyond
    /// [`MAX_FACES`] are ignored.
    pub fn detected(&mut self, faces: &[Detection], view: View<'_>, now: u64) {
        let faces = &faces[..faces.len().min(MAX_FACES)];
        let mut patches: heapless::Vec<Patch, MAX_FACES> = heapless::Vec::new();
        for face in faces {
            let (centre, size) = placed(face);
            let _ = patches.push(Patch::new(view, centre, size[0]));
        }
        self.tracks.iter_mut().for_each(|track| track.predict(now));
        self.forget(now);
        let (mut taken, mut matched) = ([false; MAX_FACES], [false; MAX_FACES]);
        // Matches the best pair first, then the best of the rest.
        loop {
            let pairs =
                self.tracks.iter().enumerate().filter(|(index, _)| !matched[*index]).flat_map(|(index, track)| {
                    let fits = faces.iter().zip(&patches).enumerate().filter(|(face, _)| !taken[*face]);
                    fits.filter_map(move |(face, (found, patch))| Some((track.cost(found, patch)?, index, face)))
                });
            let Some((_, track, face)) = pairs.min() else { break };
            (matched[track], taken[face]) = (true, true);
            self.tracks[track].correct(&faces[face], view);
        }
        for (index, track) in self.tracks.iter_mut().enumerate() {
            track.hidden |= !matched[index];
        }
        self.forget(now);
        for (face, found) in faces.iter().enumerate() {
            if !taken[face] {
                let _ = self.tracks.push(Track::new(found, view, now));
            }
        }
        for track in &mut self.tracks {
            if track.id == 0 && track.detections >= self.limits.confirm {
                self.last += 1;
                track.id = self.last;
            }
        }
    }

    fn forget(&mut self, now: u64) {
        let memory = u64::from(self.limits.memory_ms) * MS;
        // Unconfirmed faces are not worth remembering.
        self.tracks.retain(|track| match track.id {
            0 => !track.hidden,
            _ => !track.hidden || now.saturating_sub(track.seen) <= memory,
        });
    }
}

#[cfg(test)]
mod tests;
