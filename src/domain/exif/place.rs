//! Where an image was taken, and the conditions on that.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A position on the Earth (WGS 84), in steps of 10⁻⁷ degrees: about one centimetre. Every store compares exactly these
/// numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    lat_e7: i32,
    lon_e7: i32,
}

/// All positions within a distance of a centre.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Circle {
    /// The centre.
    pub center: Position,
    /// The radius in metres.
    pub radius_m: f64,
}

/// All positions between two meridians and two parallels, which are included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundingBox {
    /// The corner with the smallest latitude and the western longitude.
    pub south_west: Position,
    /// The corner with the largest latitude and the eastern longitude. If its longitude is smaller than that of the other corner,
    /// the box contains the meridian of 180°.
    pub north_east: Position,
}

/// The text is not a circle or a box. The message says what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidPlace(String);

const STEPS: f64 = 1e7;
const MAX_LAT: f64 = 90.0;
const MAX_LON: f64 = 180.0;
/// The mean radius of the Earth in metres (IUGG), as in Qdrant.
const EARTH_RADIUS_M: f64 = 6_371_008.8;
/// The largest radius of a circle: more than half of the Earth's circumference.
const MAX_KM: f64 = 20_038.0;
/// What a box around a circle is enlarged by, in degrees, so that rounding excludes no position.
const BOX_MARGIN: f64 = 1e-6;

#[derive(Serialize, Deserialize)]
struct Degrees {
    lat: f64,
    lon: f64,
}

impl Position {
    /// Returns the position; `None` if the latitude is not from -90 to 90, or the longitude not from -180 to 180 degrees.
    pub fn new(lat: f64, lon: f64) -> Option<Self> {
        // False for NaN.
        let possible = lat.abs() <= MAX_LAT && lon.abs() <= MAX_LON;
        #[expect(clippy::cast_possible_truncation, reason = "at most 1.8 * 10^9")]
        possible.then(|| Self { lat_e7: (lat * STEPS).round() as i32, lon_e7: (lon * STEPS).round() as i32 })
    }

    /// Returns a position with these numbers of steps.
    pub fn from_e7(lat_e7: i32, lon_e7: i32) -> Option<Self> {
        Self::new(Self::degrees(lat_e7), Self::degrees(lon_e7))
    }

    /// Returns a number of steps in degrees.
    pub fn degrees(steps: i32) -> f64 {
        f64::from(steps) / STEPS
    }

    /// Returns the latitude in degrees.
    pub fn lat(self) -> f64 {
        Self::degrees(self.lat_e7)
    }

    /// Returns the longitude in degrees.
    pub fn lon(self) -> f64 {
        Self::degrees(self.lon_e7)
    }

    /// Returns the latitude in steps of 10⁻⁷ degrees.
    pub fn lat_e7(self) -> i32 {
        self.lat_e7
    }

    /// Returns the longitude in steps of 10⁻⁷ degrees.
    pub fn lon_e7(self) -> i32 {
        self.lon_e7
    }

    /// Returns the distance on a sphere, in metres, by the haversine formula.
    fn distance_m(self, other: Self) -> f64 {
        let (a, b) = (self.lat().to_radians(), other.lat().to_radians());
        let half_sine = |angle: f64| (angle / 2.0).sin().powi(2);
        let h = half_sine(b - a) + a.cos() * b.cos() * half_sine((other.lon() - self.lon()).to_radians());
        2.0 * EARTH_RADIUS_M * h.sqrt().min(1.0).asin()
    }
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Degrees { lat: self.lat(), lon: self.lon() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Degrees { lat, lon } = Degrees::deserialize(deserializer)?;
        Self::new(lat, lon)
            .ok_or_else(|| serde::de::Error::custom(format!("{lat}, {lon} is not a position on the Earth")))
    }
}

impl Circle {
    /// Parses `lat,lon,km`.
    ///
    /// # Errors
    /// Returns [`InvalidPlace`] with the text and the allowed ranges.
    pub fn parse(text: &str) -> Result<Self, InvalidPlace> {
        let circle = numbers(text).and_then(|[lat, lon, km]| {
            let center = Position::new(lat, lon)?;
            (km > 0.0 && km <= MAX_KM).then_some(Self { center, radius_m: km * 1_000.0 })
        });
        circle.ok_or_else(|| {
            InvalidPlace(format!(
                "must be `lat,lon,km` with a latitude from -90 to 90, a longitude from -180 to 180 and a distance above 0 and \
                 up to {MAX_KM} km, not `{text}`"
            ))
        })
    }

    /// Whether the position is in the circle.
    pub fn contains(&self, position: Position) -> bool {
        self.center.distance_m(position) <= self.radius_m
    }

    /// Returns a box that contains the circle.
    pub fn bounding_box(&self) -> BoundingBox {
        let (lat, lon) = (self.center.lat(), self.center.lon());
        let angle = self.radius_m / EARTH_RADIUS_M;
        let height = angle.to_degrees() + BOX_MARGIN;
        let (south, north) = ((lat - height).max(-MAX_LAT), (lat + height).min(MAX_LAT));
        let has_pole = south <= -MAX_LAT || north >= MAX_LAT;
        let width = (angle.sin() / lat.to_radians().cos()).min(1.0).asin().to_degrees() + BOX_MARGIN;
        let (west, east) = if has_pole || width >= MAX_LON {
            (-MAX_LON, MAX_LON)
        } else {
            (wrapped(lon - width), wrapped(lon + width))
        };
        let corner = |lat, lon| Position::new(lat, lon).unwrap_or(self.center);
        BoundingBox { south_west: corner(south, west), north_east: corner(north, east) }
    }
}

/// Returns a longitude from -180 to 180 degrees.
fn wrapped(lon: f64) -> f64 {
    if lon < -MAX_LON {
        lon + 2.0 * MAX_LON
    } else if lon > MAX_LON {
        lon - 2.0 * MAX_LON
    } else {
        lon
    }
}

impl BoundingBox {
    /// Parses `west,south,east,north`, the order of GeoJSON.
    ///
    /// # Errors
    /// Returns [`InvalidPlace`] with the text and the allowed ranges.
    pub fn parse(text: &str) -> Result<Self, InvalidPlace> {
        let corners = numbers(text).and_then(|[west, south, east, north]| {
            let corners = Position::new(south, west).zip(Position::new(north, east));
            corners.filter(|(south_west, north_east)| south_west.lat_e7 <= north_east.lat_e7)
        });
        let (south_west, north_east) = corners.ok_or_else(|| {
            InvalidPlace(format!(
                "must be `west,south,east,north` with longitudes from -180 to 180 and latitudes from -90 to 90, the southern one \
                 first, not `{text}`"
            ))
        })?;
        Ok(Self { south_west, north_east })
    }

    /// Returns the ranges of longitudes in the box, in steps of 10⁻⁷ degrees: two if it contains the meridian of 180°.
    pub fn lon_ranges(&self) -> Vec<(i32, i32)> {
        const MAX_LON_E7: i32 = 1_800_000_000;
        let (west, east) = (self.south_west.lon_e7, self.north_east.lon_e7);
        if west <= east { vec![(west, east)] } else { vec![(west, MAX_LON_E7), (-MAX_LON_E7, east)] }
    }

    /// Whether the position is in the box.
    pub fn contains(&self, position: Position) -> bool {
        (self.south_west.lat_e7..=self.north_east.lat_e7).contains(&position.lat_e7)
            && self.lon_ranges().iter().any(|(west, east)| (*west..=*east).contains(&position.lon_e7))
    }
}

/// Parses comma-separated finite numbers.
fn numbers<const N: usize>(text: &str) -> Option<[f64; N]> {
    let numbers: Option<Vec<f64>> =
        text.split(',').take(N + 1).map(|number| crate::domain::parse_number(number.trim())).collect();
    numbers?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(lat: f64, lon: f64) -> Position {
        Position::new(lat, lon).unwrap()
    }

    #[test]
    fn a_position_is_rounded_once_and_written_without_loss() {
        let munich = position(48.137_154_321_9, -11.575_5);
        assert_eq!((munich.lat_e7(), munich.lon_e7()), (481_371_543, -115_755_000));
        let json = serde_json::to_string(&munich).unwrap();
        assert_eq!(json, r#"{"lat":48.1371543,"lon":-11.5755}"#);
        assert_eq!(serde_json::from_str::<Position>(&json).unwrap(), munich);
        assert_eq!(Position::from_e7(munich.lat_e7(), munich.lon_e7()), Some(munich));
        for (lat, lon) in [(90.1, 0.0), (0.0, -180.1), (f64::NAN, 0.0), (0.0, f64::INFINITY)] {
            assert_eq!(Position::new(lat, lon), None);
        }
    }

    #[test]
    fn distances_are_those_of_a_sphere() {
        // One degree of a great circle: 2 pi * 6371.0088 km / 360.
        let degree = 111_195.08;
        for (a, b) in [((0.0, 0.0), (0.0, 1.0)), ((89.5, 0.0), (89.5, 180.0)), ((0.0, 179.5), (0.0, -179.5))] {
            let distance = position(a.0, a.1).distance_m(position(b.0, b.1));
            assert!((distance - degree).abs() < 1.0, "{a:?} {b:?}: {distance}");
        }
        assert!(position(0.0, 0.0).distance_m(position(0.0, 180.0)) > 20_015_000.0);
    }

    #[test]
    fn the_box_around_a_circle_contains_it() {
        for (lat, lon) in [(0.0, 0.0), (48.1, 11.5), (89.99, 0.0), (-60.0, 179.9), (12.3, -180.0), (-90.0, 0.0)] {
            for km in [0.001, 1.0, 100.0, 5_000.0, 12_000.0, 20_038.0] {
                let circle = Circle { center: position(lat, lon), radius_m: km * 1_000.0 };
                let bounds = circle.bounding_box();
                for n in 0..2_000_i32 {
                    let at = position(
                        f64::from(n * 7_919 % 1_801 - 900) / 10.0,
                        f64::from(n * 104_729 % 3_601 - 1_800) / 10.0,
                    );
                    let near = position(
                        (lat + f64::from(n % 41 - 20) * km / 2_000.0).clamp(-90.0, 90.0),
                        wrapped((lon + f64::from(n / 41 - 24) * km / 2_000.0).clamp(-360.0, 360.0)),
                    );
                    for at in [at, near] {
                        assert!(!circle.contains(at) || bounds.contains(at), "{circle:?} {at:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn circles_and_boxes_are_parsed_or_refused() {
        assert_eq!(Circle::parse("48.1, 11.5,0.5"), Ok(Circle { center: position(48.1, 11.5), radius_m: 500.0 }));
        for text in ["", "1,2", "1,2,0", "1,2,-1", "91,0,1", "1,2,20039", "1,2,3,4", "a,b,c", "1,2,NaN"] {
            let error = Circle::parse(text).unwrap_err().to_string();
            assert!(error.ends_with(&format!("not `{text}`")), "{error}");
        }
        let pacific = BoundingBox::parse("170,-20,-170,20").unwrap();
        assert!(pacific.contains(position(20.0, 180.0)) && pacific.contains(position(-20.0, -170.0)));
        assert!(!pacific.contains(position(0.0, 0.0)) && !pacific.contains(position(20.1, 175.0)));
        for text in ["1,2,3", "0,10,1,-10", "181,0,1,1", "0,0,0,91", "1,2,3,4,5"] {
            assert!(BoundingBox::parse(text).unwrap_err().to_string().ends_with(&format!("not `{text}`")));
        }
    }
}
