//! Tests stand where their addresses say.

mod admin;
mod device;
mod events;
mod firmware;
mod health;
mod openapi;
mod pages;
mod people;
mod problems;
mod roles;
mod scopes;
mod server_functions;
