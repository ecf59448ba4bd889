use std::time::{Duration, UNIX_EPOCH};

use base64_simd::STANDARD;

use super::*;

/// Made by OpenSSL for `sns.amazonaws.com`, valid from 2026-11-29 to 2036-11-26.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
MIIDNzCCAh+gAwIBAgIUKHliHhmoaVx97nOfCoLpjl3Aj68wDQYJKoZIhvcNAQEL
BQAwHDEaMBgGA1UEAwwRc25zLmFtYXpvbmF3cy5jb20wHhcNMjYxMTI5MjMxNDM1
WhcNMzYxMTI2MjMxNDM1WjAcMRowGAYDVQQDDBFzbnMuYW1hem9uYXdzLmNvbTCC
ASIwDQYJKoZIhvcNAQEBBQADggEPADCCAQoCggEBALagHtA2mBq4yYiV04qr5Xii
a2WarieB84o6NRWJtNBpFtED2AjrFq/SGbglVXBaPev3q3j6V4K4RlG9ZuQB6a8o
A0kzVExmcdPJw7rxfkEY1z2I37mo9JEp+N5Oym+iBwLj28T5f7ZitY1KZYkLkG0m
o16iWMaBRH7jpgPCr1n7K7qZgs7Osaq4UD9BcRVWw05OicOnDQWHWD8zDhjcQJJs
TbmGJszOrJ9ORBnrLxy0ygK0FP3rAlFYWY/2MEgLM++Be8zdBimU8ticf62iMXLA
DmZAF9df52tSJtOPZqFQyASUuxGtSo1Ub4Rf/wckuS0Kn4nrVo3ifCfsGFIympkC
AwEAAaNxMG8wHQYDVR0OBBYEFIFV52d1XOQbaWFmrKLnLlFny+KQMB8GA1UdIwQY
MBaAFIFV52d1XOQbaWFmrKLnLlFny+KQMA8GA1UdEwEB/wQFMAMBAf8wHAYDVR0R
BBUwE4IRc25zLmFtYXpvbmF3cy5jb20wDQYJKoZIhvcNAQELBQADggEBAJFfsbyu
hjVE4SW0d73t8XO1m2r/vkeUIb+z8IS4kOP0KG+DoIMwIVvQ1rVQPeUZfDQWNccz
t1WwmUOZ4KEbGHPfep+x9wRh/b5+ohrF2cG92qVOwvdXSvXy31yr+/KVySOEddYd
u0594qbjRMvVqHmA0zO+5Lf5vQ/aKDSQEneKmPYEJsStKBMCOJsaZaTk+JwgH/v7
m0upnJZ1bsU/0FM65yosMJdCJYdOzyJKazxuzKBI0fUGX5G5dCXLnORWbTOBRwsT
y454jmLEa6JftNGTwWZnfS4A9pWCXENrzblDb8f+mNPvo7ZHVICkSOFqvM7rqFG/
uuevX56EEKt2W/c=
-----END CERTIFICATE-----
";
const TEXT: &[u8] = b"Message\nm\nMessageId\ni\n";
/// Signatures of the text by OpenSSL.
const SHA1: &str = "aQ7CIaMSLWMc3c9fYBd50tS/01vq9xxkiQ0F9CgVAj2OFY9Y6zt/9ZanWRlpxjM306FW/sp+8bTH4A5pCO1MWJYV3OxK+H5SfQAp\
    mxGqdbpBfBC+JzOMa/dAMGRCodbrai1QDdUMoLYIsZu2U4eOqPiY1lU+kTs0N/sroxkSgKn9P31m9U57nyRTNZCqAUlyD/GYWwLR\
    d/8N0Xa1hX5sAR1xo7Knb/x11CHoPLYgwXb1pCWuNUuL2CslypwOkqhktljcDAK1CEK4dHDqcj1cyz8Yhw6PWBRGNUHohOSlaEAH\
    B9jAngF9VJ5y5U+yWZIcgc0zSv8hLUPOxLgSHvOnfQ==";
const SHA256: &str = "QAFQVmUnqnQGYXut2yN2M5+8ovaL+uNeW5ND25yoHIrjs8Iqs9eFS+2maFBeP5NIQBLhFLDGXmkg1gQjVve3fHFXFbFvHXyoLfg9\
    cAsZLx5ti0EGuxs2kolr1byYMEkX1F5NbAt4twmVcm212LJK4dUJX5GRgUNYp74rMMfDHAT+77JU1RftWvTTk0U0Pin40GEkArYS\
    m2k7FjzA60emdEQaO1XXnJK669VtBtD/ZMRcrSXRg5pal4QlEcSX29DoiuXrU/mwbJn4a+sjT6rjx40XoFFDpUU5xKRAw8e+P7+4\
    QMlWeMcXh1Mv8W1a+O3PrKmjqVuH1M2oRELVH8+TNA==";

fn topic(partition: &str, region: &str) -> TopicArn {
    TopicArn::parse(&format!("arn:{partition}:sns:{region}:123456789012:images")).unwrap()
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

#[test]
fn signatures_of_both_versions_are_verified() {
    let certificate = SigningCertificate::parse(CERTIFICATE.as_bytes(), &topic("aws", "eu-west-1")).unwrap();
    let now = at(1_800_000_000);
    let verify = |version: &str, text: &[u8], signature: &str| {
        certificate.verify(version, text, &STANDARD.decode_to_vec(signature).unwrap(), now)
    };
    assert_eq!(verify("1", TEXT, SHA1), Ok(()));
    assert_eq!(verify("2", TEXT, SHA256), Ok(()));
    for (version, text, signature, reason) in [
        ("1", TEXT, SHA256, "wrong"),
        ("2", TEXT, SHA1, "wrong"),
        ("2", b"Message\nx\nMessageId\ni\n".as_slice(), SHA256, "wrong"),
        ("2", TEXT, "", "wrong"),
        ("2", TEXT, "QUJD", "wrong"),
        ("3", TEXT, SHA256, "SignatureVersion"),
        ("", TEXT, SHA256, "SignatureVersion"),
    ] {
        let error = verify(version, text, signature).unwrap_err();
        assert!(error.contains(reason), "{version} {signature}: {error}");
    }
}

#[test]
fn a_certificate_is_used_only_while_it_is_valid() {
    let certificate = SigningCertificate::parse(CERTIFICATE.as_bytes(), &topic("aws", "eu-west-1")).unwrap();
    let signature = STANDARD.decode_to_vec(SHA256).unwrap();
    let verify = |seconds| certificate.verify("2", TEXT, &signature, at(seconds));
    let (first, last) = (1_795_994_075, 2_111_354_075);
    assert!(verify(first).is_ok() && verify(last).is_ok());
    for outside in [0, first - 1, last + 1] {
        assert!(verify(outside).unwrap_err().contains("not valid now"), "{outside}");
    }
}

#[test]
fn the_name_is_one_of_sns_in_the_region() {
    for (name, partition, region, is_known) in [
        ("sns.amazonaws.com", "aws", "eu-west-1", true),
        ("SNS.amazonaws.com", "aws", "us-east-1", true),
        ("sns.eu-west-1.amazonaws.com", "aws", "eu-west-1", true),
        ("sns-signing.me-south-1.amazonaws.com", "aws", "me-south-1", true),
        ("sns-us-gov-west-1.amazonaws.com", "aws-us-gov", "us-gov-east-1", true),
        ("sns-cn-north-1.amazonaws.com.cn", "aws-cn", "cn-north-1", true),
        ("sns-signing.eusc-de-east-1.amazonaws.eu", "aws-eusc", "eusc-de-east-1", true),
        ("sns-signing.me-south-1.amazonaws.com", "aws", "eu-west-1", false),
        ("sns.amazonaws.com", "aws-cn", "cn-north-1", false),
        ("*.amazonaws.com", "aws", "eu-west-1", false),
        ("sns.amazonaws.com.evil.example", "aws", "eu-west-1", false),
        ("s3.amazonaws.com", "aws", "eu-west-1", false),
    ] {
        assert_eq!(is_name_of_sns(name, &topic(partition, region)), is_known, "{name} in {region}");
    }
    let other = SigningCertificate::parse(CERTIFICATE.as_bytes(), &topic("aws-cn", "cn-north-1"));
    assert!(other.unwrap_err().contains("not one of SNS in cn-north-1"));
}

#[test]
fn what_is_not_a_certificate_is_refused() {
    let cut = &CERTIFICATE[..CERTIFICATE.len() / 2];
    let damaged = CERTIFICATE.replace("MIIDNz", "MIIDNA");
    for text in ["", "no certificate", "<html>", cut, &damaged] {
        SigningCertificate::parse(text.as_bytes(), &topic("aws", "eu-west-1")).unwrap_err();
    }
}
