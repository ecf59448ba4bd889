//! Model folders, hubs and captioners as they are used in practice.

mod captions;
mod external;
mod families;
mod hub;
mod layouts;
mod login;
mod silent_mirror;
mod unfit;
