//! An open connection to the broker, to publish on.

use std::time::Duration;

use rumqttc::{AsyncClient, ClientError, ConnectionError, PublishNotice, PublishOptions, SubAck, SubscribeReasonCode};
use tokio::time::timeout;

/// How long a new connection waits to hear whether another run has taken over.
pub const SETTLING: Duration = Duration::from_millis(500);

/// How long the name of a run that was published may take to come back.
pub const ECHO: Duration = Duration::from_secs(5);

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    #[error("{0}")]
    Connection(#[from] ConnectionError),
    #[error("{0}")]
    Client(#[from] ClientError),
    #[error("the broker does not acknowledge")]
    Silent,
    #[error("another program took over")]
    TakenOver,
}

/// A connection that a task of its own keeps alive.
pub struct Session {
    pub client: AsyncClient,
    /// How long the broker may take to acknowledge.
    pub patience: Duration,
}

impl Session {
    /// Hands a message to the connection; the notice tells when it is acknowledged.
    pub async fn publish(
        &self,
        topic: &str,
        payload: String,
        options: PublishOptions,
    ) -> Result<PublishNotice, Broken> {
        let publishing = self.client.publish_tracked(topic, payload, options);
        Ok(timeout(self.patience, publishing).await.map_err(|_| Broken::Silent)??)
    }

    /// Waits for an acknowledgement.
    pub async fn acknowledged(&self, notice: PublishNotice) -> Result<(), Broken> {
        match timeout(self.patience, notice.wait_completion_async()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Broken::Silent),
        }
    }

    /// Publishes a retained message and waits until the broker has it.
    pub async fn retained(&self, topic: &str, payload: String) -> Result<(), Broken> {
        let notice = self.publish(topic, payload, PublishOptions::at_least_once().retained()).await?;
        self.acknowledged(notice).await
    }
}

/// Whether a broker's answer refuses a subscription.
pub fn is_refused(answer: &SubAck) -> bool {
    answer.return_codes.contains(&SubscribeReasonCode::Failure)
}

#[cfg(test)]
mod tests {
    use rumqttc::QoS;

    use super::*;

    #[test]
    fn a_refusal_is_told_from_a_subscription() {
        let granted = SubscribeReasonCode::Success(QoS::AtMostOnce);
        assert!(!is_refused(&SubAck::new(1, vec![granted])));
        assert!(is_refused(&SubAck::new(1, vec![granted, SubscribeReasonCode::Failure])));
    }
}
