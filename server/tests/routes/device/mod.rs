mod artifacts;
mod attempts;
mod check_in;
mod enroll;
mod trust;
mod update;
