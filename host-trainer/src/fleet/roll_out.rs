//! Putting a version onto the boards of a fleet: a look at all, then the canaries, then the rest.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::file::Member;
use super::ledger::Ledger;
use super::outcome::{Kind, Outcome};
use crate::deploy::{Action, News, Ssh, Version};
use crate::interrupt;

/// Time between two looks at a board that is busy.
const PAUSE: Duration = Duration::from_secs(2);
/// Longest time without a word from a board that is only looked at.
const LOOK: Duration = Duration::from_secs(30);

/// How a roll-out goes.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Boards at a time.
    pub parallel: usize,
    /// Boards that must run the version before the others get it.
    pub canary: usize,
    /// Give up a board from which nothing was heard for this long, beyond the time that its service is watched.
    pub patience: Duration,
    /// Whether a board may run its bundle although it accepted a newer one before.
    pub older: bool,
    /// Whether a version need not be signed by a key of the board file in place.
    pub replace_keys: bool,
}

/// What came of each board.
#[derive(Debug, Default)]
pub struct Report {
    /// By name.
    pub outcomes: BTreeMap<String, Outcome>,
    /// Whether it was interrupted.
    pub interrupted: bool,
}

impl Report {
    /// The number of boards of which this came.
    pub fn count(&self, kind: Kind) -> usize {
        self.outcomes.values().filter(|outcome| outcome.kind == kind).count()
    }
}

/// A board and the version that it is to run.
pub type Job<'a> = (&'a Member, &'a Version);

/// Puts each version onto its board.
///
/// First all boards are looked at, and nothing is changed: those that cannot be reached or are not fit are left out, those that
/// run their version are done. Then `canary` boards get it one after the other; boards that are done count as canaries. Then the
/// rest get it, `parallel` at a time. The first board that refuses its version, or goes back because it does not come up or is
/// not well, ends the roll-out: what is under way is finished, and no further board is begun. A board that is lost on the way
/// ends nothing; it is looked at again in the end. A roll-out that was ended or killed is resumed by beginning it again.
///
/// # Errors
/// Returns an error if the ledger cannot be written. What happens to boards is in the report.
pub fn roll_out(
    jobs: &[Job],
    plan: &Plan,
    ledger: &mut Ledger,
    tell: &(dyn Fn(&str, News) + Sync),
    ended: &(dyn Fn(&str, &Outcome) + Sync),
) -> crate::Result<Report> {
    let run =
        Run { plan, tell, ended, ledger: Mutex::new(ledger), found: Mutex::default(), stop: AtomicBool::new(false) };
    run.in_parallel(jobs, |job| run.look_at(job));
    let mut ready: Vec<&Job> = jobs.iter().filter(|job| run.outcome(job).is_none()).collect();
    // What failed last time fails first, before a second board is touched.
    ready.sort_by_key(|(member, version)| !run.ledger().has_failed(&member.name, &version.id()));
    let mut ready = VecDeque::from(ready);
    let done = jobs.iter().filter(|job| run.outcome(job).is_some_and(|outcome| outcome.kind == Kind::Runs)).count();
    let mut canaries = plan.canary.saturating_sub(done);
    while canaries > 0 && !run.is_stopped() {
        let Some(job) = ready.pop_front() else { break };
        run.deploy(job);
        canaries -= usize::from(run.outcome(job).is_some_and(|outcome| outcome.kind == Kind::Runs));
    }
    let rest: Vec<Job> = ready.into_iter().copied().collect();
    run.in_parallel(&rest, |job| run.deploy(job));
    let lost: Vec<Job> = jobs.iter().filter(|job| run.is_lost(job)).copied().collect();
    run.in_parallel(&lost, |job| run.look_again(job));
    let found = run.found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.error.map_or(Ok(()), Err)?;
    Ok(Report { outcomes: found.outcomes, interrupted: interrupt::check().is_err() })
}

struct Run<'a> {
    plan: &'a Plan,
    tell: &'a (dyn Fn(&str, News) + Sync),
    ended: &'a (dyn Fn(&str, &Outcome) + Sync),
    ledger: Mutex<&'a mut Ledger>,
    found: Mutex<Found>,
    stop: AtomicBool,
}

#[derive(Default)]
struct Found {
    outcomes: BTreeMap<String, Outcome>,
    error: Option<crate::Error>,
}

/// What a look at a board found.
enum Look {
    Runs,
    Ready,
    Busy,
}

impl<'a> Run<'a> {
    fn in_parallel(&self, jobs: &[Job], work: impl Fn(&Job) + Sync) {
        let waiting = Mutex::new(jobs.iter());
        std::thread::scope(|scope| {
            for _ in 0..self.plan.parallel.clamp(1, jobs.len().max(1)) {
                scope.spawn(|| {
                    loop {
                        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
                        let Some(job) = next else { return };
                        work(job);
                    }
                });
            }
        });
    }

    fn look_at(&self, job: &Job) {
        if let Some(why) = self.reason_to_stop() {
            return self.end(job, Outcome { kind: Kind::NotTried, reason: why });
        }
        match self.look_until_free(job) {
            Ok(Look::Runs) => self.end(job, Outcome::runs()),
            Ok(Look::Ready) => {}
            Ok(Look::Busy) => {
                let reason = "another deployment is running on it; try again when it is done".to_owned();
                self.end(job, Outcome { kind: Kind::Unfit, reason });
            }
            Err(outcome) => self.end(job, outcome),
        }
    }

    /// What the board runs, after a deployment on it that was lost.
    fn look_again(&self, job: &Job) {
        match self.look_until_free(job) {
            Ok(Look::Runs) => self.end(job, Outcome::runs()),
            Ok(Look::Ready) => {
                let reason = "the connection was lost; it runs what it ran: deploy again".to_owned();
                self.end(job, Outcome { kind: Kind::Unfit, reason });
            }
            // It stays lost.
            Ok(Look::Busy) | Err(_) => {}
        }
    }

    /// Looks until no other deployment is at work on the board, such as one that a killed roll-out began.
    fn look_until_free(&self, (member, version): &Job) -> Result<Look, Outcome> {
        let begun = Instant::now();
        let ssh = Ssh { patience: LOOK.min(self.plan.patience), ..member.ssh.clone() };
        loop {
            let action = Action::Survey { version, service: member.service };
            let answer = ssh.perform(&action, &|news| (self.tell)(&member.name, news));
            let answer = answer.map_err(Outcome::of_survey)?;
            let says = |words: &str| answer.iter().any(|line| line == words);
            match (says("is there"), says("busy")) {
                (true, _) => return Ok(Look::Runs),
                (_, true) if begun.elapsed() < self.patience(member) => std::thread::sleep(PAUSE),
                (_, true) => return Ok(Look::Busy),
                _ => return Ok(Look::Ready),
            }
        }
    }

    fn deploy(&self, job: &Job) {
        let (member, version) = job;
        if let Some(why) = self.reason_to_stop() {
            return self.end(job, Outcome { kind: Kind::NotTried, reason: why });
        }
        let action = Action::Deploy {
            version,
            service: member.service,
            settle: member.settle,
            older: self.plan.older,
            replace_keys: self.plan.replace_keys,
            health: member.health.clone(),
        };
        let ssh = Ssh { patience: self.patience(member), ..member.ssh.clone() };
        let answer = ssh.perform(&action, &|news| (self.tell)(&member.name, news));
        let outcome = answer.map_or_else(Outcome::of_deployment, |_| Outcome::runs());
        if outcome.stops() {
            self.stop.store(true, SeqCst);
        }
        self.end(job, outcome);
    }

    /// A board says nothing while its service must stay up and become well: that is no reason to give it up.
    fn patience(&self, member: &Member) -> Duration {
        let health = member.health.as_ref().map_or(0, |health| health.within);
        self.plan.patience + Duration::from_secs(u64::from(member.settle) + u64::from(health))
    }

    fn end(&self, (member, version): &Job, outcome: Outcome) {
        (self.ended)(&member.name, &outcome);
        let noted = self.ledger().note(&member.name, &version.id(), &outcome);
        let mut found = self.found();
        found.outcomes.insert(member.name.clone(), outcome);
        if let Err(error) = noted {
            found.error.get_or_insert(error);
            self.stop.store(true, SeqCst);
        }
    }

    fn is_stopped(&self) -> bool {
        self.reason_to_stop().is_some()
    }

    fn reason_to_stop(&self) -> Option<String> {
        if interrupt::check().is_err() {
            return Some("the roll-out was interrupted".to_owned());
        }
        self.stop.load(SeqCst).then(|| "the version failed on another board".to_owned())
    }

    fn outcome(&self, (member, _): &Job) -> Option<Outcome> {
        self.found().outcomes.get(&member.name).cloned()
    }

    fn is_lost(&self, job: &Job) -> bool {
        self.outcome(job).is_some_and(|outcome| outcome.kind == Kind::Lost)
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ledger(&self) -> MutexGuard<'_, &'a mut Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
