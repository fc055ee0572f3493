//! The two nets of the method: the face net supervises, the expression net learns.

pub mod expression_net;
pub mod face_net;
pub mod low_light;

pub use expression_net::ExpressionNet;
pub use face_net::FaceNet;
