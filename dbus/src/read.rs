// SPDX-License-Identifier: MIT OR Apache-2.0
//! Many properties at once: the questions are sent ahead of the answers. One `Get()` costs systemd little, a round trip
//! for each of a thousand units much, and `GetAll()` makes systemd render some two hundred values per unit.

use std::collections::HashMap;
use std::num::NonZeroU32;

use futures_lite::StreamExt as _;
use zbus::message::Type;
use zbus::zvariant::{ObjectPath, OwnedObjectPath, OwnedValue};
use zbus::{Message, MessageStream, block_on};

use crate::connection::Systemd;
use crate::error::Error;
use crate::manager::Properties;
use crate::unit::Unit;

const SYSTEMD: &str = "org.freedesktop.systemd1";

/// How many questions are on the way at once: fewer than zbus keeps messages for us before it stops to read.
const AHEAD: usize = 32;

/// A property by the interface that has it, without `org.freedesktop.systemd1.`, and its name.
pub type Wanted = (&'static str, &'static str);

/// A job, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, zbus::zvariant::Type)]
pub struct QueuedJob {
    /// Its number.
    pub id: u32,
    /// The unit that it is for.
    pub unit: String,
    /// start, stop, restart, ...
    pub kind: String,
    /// waiting or running
    pub state: String,
    /// The job's object.
    pub path: OwnedObjectPath,
    /// The unit's object.
    pub unit_path: OwnedObjectPath,
}

impl Systemd {
    /// These properties of these units, in their order. What a unit does not have, or no longer has since it is gone,
    /// is left out.
    pub fn read(&self, units: &[(&ObjectPath<'_>, &[Wanted])]) -> Result<Vec<Unit>, Error> {
        let questions: Vec<(usize, &ObjectPath<'_>, Wanted)> = units
            .iter()
            .enumerate()
            .flat_map(|(unit, (path, wanted))| wanted.iter().map(move |wanted| (unit, *path, *wanted)))
            .collect();
        let failed = |error| Error::of_call("read properties", None, error);
        let answers = block_on(self.ask(&questions)).map_err(failed)?;
        let mut read: Vec<Properties> = units.iter().map(|_| Properties::new()).collect();
        for ((unit, _, (_, name)), answer) in questions.iter().zip(answers) {
            if let (Some(properties), Some(value)) = (read.get_mut(*unit), answer) {
                properties.insert((*name).to_owned(), value);
            }
        }
        Ok(read.into_iter().map(Unit::of).collect())
    }

    /// The jobs that must be done before this one may begin: those of units that come first.
    pub fn jobs_before(&self, job: &ObjectPath<'_>) -> Result<Vec<QueuedJob>, Error> {
        let failed = |error| Error::of_call("look at a job", None, error);
        block_on(async {
            let interface = Some("org.freedesktop.systemd1.Job");
            let call = self.connection.call_method(Some(self.destination), job, interface, "GetBefore", &());
            call.await?.body().deserialize::<Vec<QueuedJob>>()
        })
        .map_err(failed)
    }

    async fn ask(
        &self,
        questions: &[(usize, &ObjectPath<'_>, Wanted)],
    ) -> zbus::Result<Vec<Option<OwnedValue>>> {
        let mut replies = MessageStream::from(&self.connection);
        let mut answers: Vec<Option<OwnedValue>> = questions.iter().map(|_| None).collect();
        let mut asked: HashMap<NonZeroU32, usize> = HashMap::with_capacity(AHEAD);
        let mut rest = questions.iter().enumerate();
        loop {
            while asked.len() < AHEAD
                && let Some((number, (_, path, (interface, property)))) = rest.next()
            {
                let question = Message::method_call(*path, "Get")?
                    .destination(self.destination)?
                    .interface("org.freedesktop.DBus.Properties")?
                    .build(&(format!("{SYSTEMD}.{interface}"), property))?;
                asked.insert(question.primary_header().serial_num(), number);
                self.connection.send(&question).await?;
            }
            if asked.is_empty() {
                return Ok(answers);
            }
            let Some(message) = replies.next().await else {
                return Err(zbus::Error::InputOutput(std::sync::Arc::new(
                    std::io::ErrorKind::ConnectionAborted.into(),
                )));
            };
            let message = message?;
            let number = message.header().reply_serial().and_then(|serial| asked.remove(&serial));
            if let (Some(number), Type::MethodReturn) = (number, message.message_type())
                && let Some(answer) = answers.get_mut(number)
            {
                *answer = Some(message.body().deserialize()?);
            }
        }
    }
}
