//! What an exception through an image frame costs, with few and many objects in
//! the image.

pub fn table() {}
