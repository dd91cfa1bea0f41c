//! Who listens to what, for the peers that give each connection a queue and a writing task.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::mpsc::UnboundedSender;

/// These are the queues of every topic's subscribers. A queue whose connection has ended is forgotten when it shows.
#[derive(Debug)]
pub struct Queues<T>(Arc<RwLock<HashMap<String, Vec<UnboundedSender<T>>>>>);

impl<T: Clone> Queues<T> {
    /// Adds a queue to a topic.
    pub fn subscribe(&self, topic: String, queue: UnboundedSender<T>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).entry(topic).or_default().push(queue);
    }

    /// Puts an item into all queues of a topic.
    pub fn publish(&self, topic: &str, item: &T) {
        let topics = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(queues) = topics.get(topic) else { return };
        let reached = queues.iter().filter(|queue| queue.send(item.clone()).is_ok()).count();
        if reached < queues.len() {
            drop(topics);
            let mut topics = self.0.write().unwrap_or_else(PoisonError::into_inner);
            topics.entry(topic.to_owned()).or_default().retain(|queue| !queue.is_closed());
        }
    }
}

impl<T> Default for Queues<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Clone for Queues<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
