//! The two nets of the method: the face net supervises, the expression net learns. Besides, nets that only teach: DenseNet-121,
//! read from an ONNX file, and residual nets from scratch.

pub mod branches;
pub mod expression_net;
pub mod face_net;
pub mod graph_net;
mod layout;
pub mod low_light;
pub mod residual_net;

pub use expression_net::ExpressionNet;
pub use face_net::FaceNet;
pub use graph_net::GraphNet;
pub use residual_net::ResidualNet;
