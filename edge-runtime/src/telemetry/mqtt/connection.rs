//! One connection after another to the broker, and what is published on each.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use rumqttc::{
    AsyncClient, ConnectionError, Event, LastWill, MqttOptions, Packet, PublishNotice, PublishOptions, QoS, Transport,
};
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{sleep, timeout};

use super::line::{Broken, Line};
use super::{Options, Topics, address, discovery};
use crate::telemetry::hub::Hub;
use crate::telemetry::{Backlog, Entry, json};

/// Entries that are under way at once.
const BATCH: usize = 64;
/// Larger entries are left out: brokers refuse them, and those behind them would wait for ever.
const MAX_ENTRY: usize = 64 << 10;
/// Sides of a packet, in bytes: what a broker may send us, and what we may send.
const PACKET: (usize, usize) = (10 << 10, 128 << 10);
const KEEP_ALIVE_SECONDS: u16 = 30;
/// Without a frame for so long there is no face in the picture.
const STALE: Duration = Duration::from_secs(5);
/// Between two states that differ in figures alone. A new label or face is told at once.
const FIGURES: Duration = Duration::from_secs(10);
/// For taking leave of the broker.
const FAREWELL: Duration = Duration::from_secs(1);

/// Publishes until it is told to stop, over as many connections as that takes.
pub async fn run(
    options: Options,
    transport: Transport,
    hub: Arc<Hub>,
    backlog: Option<Box<dyn Backlog>>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut pause = options.pause;
    let mut reported = false;
    let mut publishing = Publishing::new(options, hub, backlog);
    while !*stopped.borrow() {
        let end = publishing.connect(&transport, &mut stopped).await;
        let was_connected = publishing.hub.counters.mqtt_connected.swap(0, Relaxed) == 1;
        let Err(why) = end else { return };
        if was_connected {
            (pause, reported) = (publishing.options.pause, false);
        }
        // Once an outage, not once a try.
        if !std::mem::replace(&mut reported, true) {
            let address = &publishing.options.address;
            tracing::warn!("mqtt {}:{}: {why}; trying again, nothing is lost", address.host, address.port);
        }
        tokio::select! {
            () = sleep(pause) => {}
            _ = stopped.wait_for(|stop| *stop) => {}
        }
        pause = (pause * 2).min(publishing.options.longest_pause);
    }
}

/// What is published, and where.
struct Publishing {
    options: Options,
    hub: Arc<Hub>,
    backlog: Option<Box<dyn Backlog>>,
    topics: Topics,
    /// Tells this board and prefix from others.
    id: String,
}

impl Publishing {
    fn new(options: Options, hub: Arc<Hub>, backlog: Option<Box<dyn Backlog>>) -> Publishing {
        let topics = Topics::under(&options.address.prefix);
        let name = format!("{}/{}", address::host_name(), options.address.prefix);
        let id = format!("edge-runtime-{}", &expression_engine::files::sha256(name.as_bytes())[..8]);
        Publishing { options, hub, backlog, topics, id }
    }

    /// One connection, from its beginning to its end.
    async fn connect(&mut self, transport: &Transport, stopped: &mut watch::Receiver<bool>) -> Result<(), Broken> {
        let address = &self.options.address;
        let mut settings = MqttOptions::new(self.id.clone(), (address.host.clone(), address.port));
        settings
            .set_keep_alive(KEEP_ALIVE_SECONDS)
            .set_max_packet_size(PACKET.0, PACKET.1)
            .set_last_will(LastWill::new(&self.topics.status, "offline", QoS::AtLeastOnce, true))
            .set_transport(transport.clone());
        if let Some(user) = &address.user {
            settings.set_credentials(user.clone(), self.options.password.clone().unwrap_or_default());
        }
        let (client, mut events) = AsyncClient::builder(settings).capacity(BATCH).build();
        let (tell, told) = oneshot::channel();
        let mut driver = tokio::spawn(async move {
            let mut tell = Some(tell);
            loop {
                match events.poll().await {
                    Ok(Event::Incoming(Packet::ConnAck(_))) => drop(tell.take().map(|tell| tell.send(()))),
                    Ok(_) => {}
                    // Polled again it would connect again, with what was under way before. We begin anew instead, from
                    // the backlog, which knows what was acknowledged.
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
        let line = Line { client, patience: self.options.patience };
        tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => {
                let _ = timeout(FAREWELL, self.say_farewell(&line, driver)).await;
                Ok(())
            }
            error = &mut driver => Err(ended(error)),
            broken = self.publish(&line) => match broken {
                // What ended the connection says more than that something could not be published on it.
                Err(_) if driver.is_finished() => Err(ended(driver.await)),
                Err(broken) => Err(broken),
                Ok(never) => match never {},
            },
        }
    }

    /// A stop on purpose is told at once; the last will is for the others.
    async fn say_farewell(&self, line: &Line, driver: JoinHandle<ConnectionError>) -> Result<(), Broken> {
        line.retained(&self.topics.status, "offline".into()).await?;
        line.client.disconnect().await?;
        let _ = driver.await;
        Ok(())
    }

    /// Publishes until the connection breaks.
    async fn publish(&mut self, line: &Line) -> Result<std::convert::Infallible, Broken> {
        if let Some(prefix) = &self.options.discovery {
            let name = self.options.address.prefix.rsplit('/').next().unwrap_or_default();
            for (topic, config) in discovery::announcements(prefix, &self.id, name, &self.topics, &self.hub.about) {
                line.retained(&topic, config).await?;
            }
        }
        line.retained(&self.topics.status, "online".into()).await?;
        let mut told: Option<(State, Instant)> = None;
        loop {
            let state = self.state();
            let tell = told.as_ref().is_none_or(|(last, at)| {
                last.gist != state.gist || (at.elapsed() >= FIGURES && last.text != state.text)
            });
            if tell {
                line.retained(&self.topics.state, state.text.clone()).await?;
                told = Some((state, Instant::now()));
            }
            if !self.publish_batch(line).await? {
                sleep(self.options.period).await;
            }
        }
    }

    /// The present.
    fn state(&self) -> State {
        let at = self.hub.started.elapsed();
        let now = self.hub.now();
        let fresh = now.at.is_some_and(|then| at.saturating_sub(then) < STALE);
        let (seen, front) = if fresh { (now.observation.clone(), now.front().copied()) } else { Default::default() };
        let (rate, paused) = (now.rate.per_second(at), now.paused);
        let (camera_lost, journal) = (now.camera_lost, json::journal(&self.hub, &now));
        drop(now);
        let mut value = json::summary(&self.hub.about, &seen, front.as_ref(), rate, paused);
        value["camera_lost_since"] = camera_lost.into();
        value["journal"] = journal;
        State::new(&value)
    }

    /// Publishes the next entries of the backlog and has it remember those that are acknowledged; whether there may be more.
    async fn publish_batch(&mut self, line: &Line) -> Result<bool, Broken> {
        let Some(backlog) = &mut self.backlog else { return Ok(false) };
        let entries = match backlog.position().and_then(|position| backlog.after(position, BATCH)) {
            Ok(entries) => entries,
            Err(error) => {
                tracing::warn!("mqtt: the backlog cannot be read: {error:#}; trying again");
                return Ok(false);
            }
        };
        let (mut acknowledged, mut end) = (None, Ok(()));
        let mut under_way: Vec<(i64, Option<PublishNotice>)> = Vec::with_capacity(entries.len());
        let full = entries.len() >= BATCH;
        for Entry { id, payload } in entries {
            if payload.len() > MAX_ENTRY {
                tracing::warn!("mqtt: entry {id} has {} bytes, too many for a broker; it is left out", payload.len());
                under_way.push((id, None));
                continue;
            }
            match line.publish(&self.topics.records, payload, PublishOptions::at_least_once()).await {
                Ok(notice) => under_way.push((id, Some(notice))),
                Err(broken) => {
                    end = Err(broken);
                    break;
                }
            }
        }
        for (id, notice) in under_way {
            if let Some(notice) = notice {
                if let Err(broken) = line.acknowledged(notice).await {
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
            tracing::warn!("mqtt: the backlog cannot remember what was published: {error:#}; it is published again");
            end?;
            return Ok(false);
        }
        end.map(|()| full)
    }
}

/// The present as it is published.
struct State {
    text: String,
    /// What is worth telling at once.
    gist: String,
}

impl State {
    fn new(value: &serde_json::Value) -> State {
        let keys = ["faces", "label", "track", "quality", "paused", "camera_lost_since", "journal"];
        State { text: value.to_string(), gist: keys.map(|key| value[key].to_string()).join(" ") }
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
