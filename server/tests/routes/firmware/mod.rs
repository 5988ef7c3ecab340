//! The plain firmware API, as its devices and publishers speak it.

mod believed;
mod conversation;
mod curl;
mod esp;
mod micropython;
mod publishing;
mod wrong;
