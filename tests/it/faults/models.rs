//! Model folders, hubs and captioners as they are in use elsewhere.
