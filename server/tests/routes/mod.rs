//! Tests stand where their addresses say.

mod admin;
mod device;
mod health;
mod openapi;
mod pages;
mod problems;
mod roles;
