//! Model folders, hubs and captioners as they are in use elsewhere.

mod captions;
mod external;
mod hub;
mod layouts;
mod login;
mod silent_mirror;
