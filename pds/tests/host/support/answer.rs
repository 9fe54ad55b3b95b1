use bytes::Bytes;
use serde_json::Value;

use super::Car;

/// What the host answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub body: Bytes,
}

impl Answer {
    pub async fn of(response: reqwest::Response) -> Self {
        let status = response.status().as_u16();
        let content_type = response.headers().get("content-type").map(|value| value.to_str().unwrap().to_owned());
        Self { status, content_type: content_type.unwrap_or_default(), body: response.bytes().await.unwrap() }
    }

    /// The JSON of a good answer.
    #[track_caller]
    pub fn json(self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        if self.body.is_empty() { Value::Null } else { serde_json::from_slice(&self.body).unwrap() }
    }

    /// The CAR file of a good answer, its blocks checked.
    #[track_caller]
    pub fn car(self) -> Car {
        assert_eq!(self.status, 200, "{self:?}");
        assert_eq!(self.content_type, "application/vnd.ipld.car");
        Car::read(&self.body)
    }

    /// That it was refused so, in the form of XRPC.
    #[track_caller]
    pub fn refused(self, status: u16, error: &str) -> String {
        assert_eq!(self.status, status, "{self:?}");
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?}"));
        assert_eq!(body["error"], error, "{self:?}");
        body["message"].as_str().unwrap().to_owned()
    }
}
