// SPDX-License-Identifier: MIT OR Apache-2.0
//! What ctctl says while a command runs.

use ct_channel::Channel;
use ct_channel::message::Order;

/// All that has come.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Heard {
    /// To be sent to the command, in their order.
    pub(crate) signals: Vec<i32>,
    /// ctctl has ended.
    pub(crate) is_gone: bool,
}

/// What there is, when poll(2) has told of something.
pub(crate) fn hear(channel: &mut Channel) -> Heard {
    match channel.receive::<Order>() {
        Ok(Some((Order::Signal(signal), _))) => {
            let mut heard = already_here(channel);
            heard.signals.insert(0, signal);
            heard
        }
        Ok(None) | Err(_) => Heard { is_gone: true, ..Heard::default() },
    }
}

/// What has come in one piece with something else, as poll(2) does not tell.
pub(crate) fn already_here(channel: &mut Channel) -> Heard {
    let mut heard = Heard::default();
    loop {
        match channel.received::<Order>() {
            Ok(Some((Order::Signal(signal), _))) => heard.signals.push(signal),
            Ok(None) => return heard,
            Err(_) => return Heard { is_gone: true, ..heard },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_that_come_in_one_piece_are_all_heard() {
        let (ours, theirs) = Channel::pair().unwrap();
        let mut theirs = Channel::from(theirs);
        ours.send(&"request", &[]).unwrap();
        for signal in [libc::SIGUSR1, libc::SIGTERM] {
            ours.send(&Order::Signal(signal), &[]).unwrap();
        }
        theirs.receive::<String>().unwrap().unwrap();
        let signals = vec![libc::SIGUSR1, libc::SIGTERM];
        assert_eq!(already_here(&mut theirs), Heard { signals: signals.clone(), is_gone: false });
        for signal in &signals {
            ours.send(&Order::Signal(*signal), &[]).unwrap();
        }
        drop(ours);
        assert_eq!(hear(&mut theirs), Heard { signals, is_gone: false });
        assert!(hear(&mut theirs).is_gone);
    }
}
