//! One connection after another to the broker, and what is published on each.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use rumqttc::{
    AsyncClient, ConnectionError, Event, LastWill, MqttOptions, Packet, PublishNotice, PublishOptions, QoS, Transport,
};
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{sleep, timeout};

use super::advice::advice;
use super::discovery;
use super::identity::Identity;
use super::options::BrokerOptions;
use super::session::{Broken, ECHO, SETTLING, Session, is_refused};
use crate::telemetry::backlog::{Backlog, BacklogEntry};
use crate::telemetry::hub::Hub;
use crate::telemetry::message::{self, Status};

/// Entries that are under way at once.
const BATCH: usize = 64;
/// Larger entries are left out: brokers refuse them, and those behind them would wait forever.
const MAX_ENTRY_BYTES: usize = 64 << 10;
/// Largest packets, in bytes: what a broker may send us, and what we may send.
const MAX_PACKET_BYTES: (usize, usize) = (10 << 10, 128 << 10);
const KEEP_ALIVE_SECONDS: u16 = 30;
/// Time between two states that differ only in figures. A new label or face is published at once.
const FIGURES: Duration = Duration::from_secs(10);
/// Longest time to say goodbye to the broker.
const FAREWELL: Duration = Duration::from_secs(1);

/// Publishes until it is told to stop, over as many connections as that takes, or until another run takes over.
pub async fn run(
    options: BrokerOptions,
    transport: Transport,
    hub: Arc<Hub>,
    backlog: Option<Box<dyn Backlog>>,
    page: Option<String>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut pause = options.pause;
    let mut reported = false;
    let keeps_records = backlog.is_some();
    let mut publishing = Publishing::new(options, hub, backlog, page);
    while !*stopped.borrow() {
        publishing.find_beginning();
        let began = Instant::now();
        let end = publishing.connect(&transport, &mut stopped).await;
        let was_connected = publishing.hub.counters.mqtt_connected.swap(0, Relaxed) == 1;
        let Err(why) = end else { break };
        if let Broken::TakenOver = why {
            return publishing.yield_to_other();
        }
        // A connection that ends at once is no sign that all is well: another program may have the same id.
        let lasted = was_connected.then(|| began.elapsed());
        if lasted.is_some_and(|lasted| lasted >= SETTLING) {
            (pause, reported) = (publishing.options.pause, false);
        }
        // Once per outage, not once per attempt.
        if !std::mem::replace(&mut reported, true) {
            let address = &publishing.options.address;
            let lost = if keeps_records { "; the journal keeps the records meanwhile" } else { "" };
            let advice = advice(&why, address.tls, lasted);
            tracing::warn!("mqtt {}:{}: {why}{advice}; trying again{lost}", address.host, address.port);
        }
        tokio::select! {
            () = sleep(pause) => {}
            _ = stopped.wait_for(|stop| *stop) => {}
        }
        pause = (pause * 2).min(publishing.options.longest_pause);
    }
    publishing.warn_of_rest();
}

/// What is published, and where.
struct Publishing {
    options: BrokerOptions,
    hub: Arc<Hub>,
    backlog: Option<Box<dyn Backlog>>,
    identity: Identity,
    /// The address of the preview, if others reach it.
    page: Option<String>,
    /// Whether this run has told the broker that it publishes here.
    introduced: bool,
    /// Whether it was said that the broker refuses subscriptions.
    refused: Arc<AtomicBool>,
    /// Whether the name of this run was published, and it was not looked yet whether it came back: on a later connection, if the first
    /// one breaks at once.
    is_to_come_back: bool,
}

impl Publishing {
    fn new(
        options: BrokerOptions,
        hub: Arc<Hub>,
        backlog: Option<Box<dyn Backlog>>,
        page: Option<String>,
    ) -> Publishing {
        let identity = Identity::new(&hub.about.source, options.address.prefix.as_deref());
        let refused = Arc::default();
        Publishing { options, hub, backlog, identity, page, introduced: false, refused, is_to_come_back: false }
    }

    /// Has the backlog find out where it begins. Were it asked for the first time on a connection, what was recorded before
    /// would count as the past, of which a new broker gets nothing.
    fn find_beginning(&mut self) {
        if let Some(Err(error)) = self.backlog.as_mut().map(|backlog| backlog.position()) {
            tracing::debug!("mqtt: cannot read the backlog yet: {error:#}");
        }
    }

    /// Says that a later run has to publish the rest: after the end of a video there may be none.
    fn warn_of_rest(&mut self) {
        let Some(backlog) = &mut self.backlog else { return };
        let rest = backlog.position().and_then(|position| backlog.after(position, 1));
        if rest.is_ok_and(|entries| !entries.is_empty()) {
            tracing::warn!(
                "mqtt: some entries of the journal have not reached the broker yet; the next run with this journal and --mqtt \
                 publishes them"
            );
        }
    }

    /// Another run has the same topics: two that throw each other out would both be useless.
    fn yield_to_other(&self) {
        let text = format!(
            "mqtt: another program publishes under {} and has taken over, so this one stops publishing; give each a prefix of \
             its own (--mqtt mqtt://HOST/PREFIX) and restart",
            self.identity.prefix(),
        );
        tracing::warn!("{text}");
        self.hub.note(&text);
    }

    /// Says so if the name of this run did not come back, because nothing else may arrive then: a broker of MQTT 3.1.1 has no way to
    /// refuse a message, so it acknowledges what it drops. Or the user may write and not read, which cannot be told apart: many
    /// brokers grant the subscription and then send nothing.
    fn warn_of_dropping(&mut self, publisher: &watch::Receiver<Option<Vec<u8>>>) {
        let is_looked_for = std::mem::take(&mut self.is_to_come_back) && !self.refused.load(Relaxed);
        if !is_looked_for || publisher.borrow().as_deref() == Some(self.identity.run.as_bytes()) {
            return;
        }
        let prefix = self.identity.prefix();
        let text = format!(
            "mqtt: the broker does not give back what is published under {prefix}: either this user may not read there, or the \
             records are dropped too, since brokers acknowledge what their access list forbids; let this user write and read \
             {prefix}/#"
        );
        tracing::warn!("{text}");
        self.hub.note(&text);
    }

    /// One connection, from its beginning to its end.
    async fn connect(&mut self, transport: &Transport, stopped: &mut watch::Receiver<bool>) -> Result<(), Broken> {
        let address = &self.options.address;
        let mut settings = MqttOptions::new(self.identity.id.clone(), (address.host.clone(), address.port));
        settings
            .set_keep_alive(KEEP_ALIVE_SECONDS)
            .set_max_packet_size(MAX_PACKET_BYTES.0, MAX_PACKET_BYTES.1)
            .set_last_will(LastWill::new(&self.identity.topics.status, "offline", QoS::AtLeastOnce, true))
            .set_transport(transport.clone());
        if let Some(user) = &address.user {
            settings.set_credentials(user.clone(), self.options.password.clone().unwrap_or_default());
        }
        let (client, mut events) = AsyncClient::builder(settings).capacity(BATCH).build();
        let (tell, told) = oneshot::channel();
        let (heard, publisher) = watch::channel(None);
        let (hub, pause_topic) = (self.hub.clone(), self.identity.topics.pause.clone());
        let (refused, prefix) = (self.refused.clone(), self.identity.prefix().to_owned());
        let mut driver = tokio::spawn(async move {
            let mut tell = Some(tell);
            loop {
                match events.poll().await {
                    Ok(Event::Incoming(Packet::ConnAck(_))) => drop(tell.take().map(|tell| tell.send(()))),
                    Ok(Event::Incoming(Packet::SubAck(answer))) if is_refused(&answer) => {
                        if !refused.swap(true, Relaxed) {
                            tracing::warn!(
                                "mqtt: the broker does not let this user subscribe under {prefix}, so requests to pause do not \
                                 arrive, and another program with this prefix is not noticed; allow it in the broker's access list"
                            );
                        }
                    }
                    Ok(Event::Incoming(Packet::Publish(message))) if message.topic == pause_topic => {
                        // A retained request is an old one: whoever made it does not know what has happened since.
                        match &message.payload[..] {
                            b"ON" if !message.retain => hub.now().pause_request = Some(true),
                            b"OFF" if !message.retain => hub.now().pause_request = Some(false),
                            _ => {}
                        }
                    }
                    // The other topic that is subscribed to names the run that publishes here.
                    Ok(Event::Incoming(Packet::Publish(message))) => {
                        drop(heard.send_replace(Some(message.payload.to_vec())))
                    }
                    Ok(_) => {}
                    // If it was polled again it would connect again, with what was under way before. We start over instead,
                    // from the backlog, which knows what was acknowledged.
                    Err(error) => return error,
                }
            }
        });
        let _abort = AbortOnDrop(driver.abort_handle());
        tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => return Ok(()),
            error = &mut driver => return Err(ended(error)),
            connected = told => if connected.is_err() { return Err(ended(driver.await)) },
        }
        self.hub.counters.mqtt_connected.store(1, Relaxed);
        let session = Session { client, patience: self.options.patience };
        let own = self.identity.clone();
        let another = |run: &Option<Vec<u8>>| run.as_ref().is_some_and(|run| own.yields_to(run));
        let mut runs = publisher.clone();
        tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => {
                let _ = timeout(FAREWELL, self.publish_rest(&session)).await;
                self.warn_of_dropping(&publisher);
                let _ = timeout(FAREWELL, self.say_farewell(&session, driver)).await;
                Ok(())
            }
            error = &mut driver => Err(ended(error)),
            broken = self.publish(&session, publisher.clone()) => match broken {
                // What ended the connection says more than that something could not be published on it.
                Err(_) if driver.is_finished() => Err(ended(driver.await)),
                Err(broken) => Err(broken),
                Ok(never) => match never {},
            },
            Ok(_) = runs.wait_for(another) => {
                // In order, so that the last will does not call the other one offline.
                let leave = async { session.client.disconnect().await.map(|()| driver) };
                if let Ok(Ok(driver)) = timeout(FAREWELL, leave).await {
                    let _ = timeout(FAREWELL, driver).await;
                }
                Err(Broken::TakenOver)
            }
        }
    }

    /// What was committed since the last batch.
    async fn publish_rest(&mut self, session: &Session) -> Result<(), Broken> {
        while self.publish_batch(session).await? {}
        Ok(())
    }

    /// A stop on purpose is told at once; the last will is for the others.
    async fn say_farewell(&self, session: &Session, driver: JoinHandle<ConnectionError>) -> Result<(), Broken> {
        session.retained(&self.identity.topics.status, "offline".into()).await?;
        session.client.disconnect().await?;
        let _ = driver.await;
        Ok(())
    }

    /// Publishes until the connection breaks. `publisher` says which run publishes here, once the broker tells.
    async fn publish(
        &mut self,
        session: &Session,
        mut publisher: watch::Receiver<Option<Vec<u8>>>,
    ) -> Result<std::convert::Infallible, Broken> {
        let topics = self.identity.topics.clone();
        let introduces = !self.introduced;
        if introduces {
            session.retained(&topics.run, self.identity.run.clone()).await?;
            self.introduced = true;
        }
        session.client.subscribe(&topics.run, QoS::AtLeastOnce).await?;
        if self.options.pauses {
            session.client.subscribe(&topics.pause, QoS::AtLeastOnce).await?;
        }
        let _ = timeout(SETTLING, publisher.wait_for(Option::is_some)).await;
        self.is_to_come_back |= introduces;
        if let Some(prefix) = &self.options.discovery {
            let page = self.page.as_deref();
            let announced =
                discovery::announcements(prefix, &self.identity, &self.hub.about, page, self.options.pauses);
            for (topic, config) in announced {
                session.retained(&topic, config).await?;
            }
        }
        session.retained(&topics.status, "online".into()).await?;
        let mut told: Option<(Status, Instant)> = None;
        let mut is_first_look = true;
        let subscribed = Instant::now();
        loop {
            // The same name may come again after it was answered, so what counts is that something came.
            if std::mem::take(&mut is_first_look) || publisher.has_changed().unwrap_or(false) {
                let heard = publisher.borrow_and_update().clone();
                self.is_to_come_back &= heard.as_deref() != Some(self.identity.run.as_bytes());
                let is_earlier = |run: &Vec<u8>| *run != self.identity.run.as_bytes() && !self.identity.yields_to(run);
                if heard.as_ref().is_some_and(is_earlier) {
                    session.retained(&topics.run, self.identity.run.clone()).await?;
                }
            }
            if subscribed.elapsed() >= ECHO {
                self.warn_of_dropping(&publisher);
            }
            let status = Status::new(&self.hub);
            let due = told.as_ref().is_none_or(|(last, at)| {
                last.without_figures() != status.without_figures() || (at.elapsed() >= FIGURES && *last != status)
            });
            if due {
                session.retained(&topics.state, message::text(&status)).await?;
                told = Some((status, Instant::now()));
            }
            if !self.publish_batch(session).await? {
                sleep(self.options.period).await;
            }
        }
    }

    /// Publishes the next entries of the backlog and has it remember those that are acknowledged; whether there may be more.
    async fn publish_batch(&mut self, session: &Session) -> Result<bool, Broken> {
        let Some(backlog) = &mut self.backlog else { return Ok(false) };
        let entries = match backlog.position().and_then(|position| backlog.after(position, BATCH)) {
            Ok(entries) => entries,
            Err(error) => {
                tracing::warn!("mqtt: cannot read the backlog: {error:#}; trying again");
                return Ok(false);
            }
        };
        let (mut acknowledged, mut end) = (None, Ok(()));
        let mut under_way: Vec<(i64, Option<PublishNotice>)> = Vec::with_capacity(entries.len());
        let full = entries.len() >= BATCH;
        for BacklogEntry { id, payload } in entries {
            if payload.len() > MAX_ENTRY_BYTES {
                tracing::warn!(
                    "mqtt: entry {id} is left out: it has {} bytes, more than brokers accept",
                    payload.len()
                );
                under_way.push((id, None));
                continue;
            }
            match session.publish(&self.identity.topics.records, payload, PublishOptions::at_least_once()).await {
                Ok(notice) => under_way.push((id, Some(notice))),
                Err(broken) => {
                    end = Err(broken);
                    break;
                }
            }
        }
        for (id, notice) in under_way {
            if let Some(notice) = notice {
                if let Err(broken) = session.acknowledged(notice).await {
                    end = Err(broken);
                    break;
                }
                self.hub.counters.mqtt_published.fetch_add(1, Relaxed);
            }
            acknowledged = Some(id);
        }
        if let Some(id) = acknowledged
            && let Err(error) = backlog.set_position(id)
        {
            tracing::warn!("mqtt: cannot remember what was published: {error:#}; publishing it again");
            end?;
            return Ok(false);
        }
        end.map(|()| full)
    }
}

/// How the task of a connection ended.
fn ended(result: Result<ConnectionError, tokio::task::JoinError>) -> Broken {
    match result {
        Ok(error) => Broken::Connection(error),
        Err(_) => Broken::Connection(ConnectionError::RequestsDone),
    }
}

/// Ends a task when its owner ends.
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
