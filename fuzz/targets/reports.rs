//! Whatever a device reports, it is read whole or refused; what is read is written again as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use otter_protocol::AttemptReport;
use otter_protocol::check_in::{CheckIn, CheckInReply, EnrollRequest};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn same_again<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    let Ok(read) = serde_json::from_slice::<T>(bytes) else {
        return;
    };
    let written = serde_json::to_vec(&read).unwrap();
    assert_eq!(serde_json::from_slice::<T>(&written).unwrap(), read);
}

fuzz_target!(|bytes: &[u8]| {
    same_again::<AttemptReport>(bytes);
    same_again::<CheckIn>(bytes);
    same_again::<CheckInReply>(bytes);
    same_again::<EnrollRequest>(bytes);
});
