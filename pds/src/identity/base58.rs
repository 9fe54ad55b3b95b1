//! Base58 with Bitcoin's alphabet, as `did:key` writes keys.

const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// Writes bytes as a number in base 58; each leading zero byte as a leading `1`.
pub(super) fn encode(bytes: &[u8]) -> String {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    // The digits, the least first.
    let mut digits: Vec<u8> = Vec::with_capacity(bytes.len() * 2);
    for byte in &bytes[zeros..] {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += u32::from(*digit) << 8;
            *digit = (carry % 58) as u8;
            carry /= 58;
        }
        while carry > 0 {
            digits.push((carry % 58) as u8);
            carry /= 58;
        }
    }
    let digits = digits.iter().rev().copied();
    std::iter::repeat_n(0, zeros).chain(digits).map(|digit| char::from(ALPHABET[usize::from(digit)])).collect()
}

#[cfg(test)]
mod tests {
    use super::encode;

    /// Vectors of draft-msporny-base58-03, section 5.
    #[test]
    fn published_vectors() {
        assert_eq!(encode(b"Hello World!"), "2NEpo7TZRRrLZSi2U");
        assert_eq!(
            encode(b"The quick brown fox jumps over the lazy dog."),
            "USm3fpXnKG5EUBx2ndxBDMPVciP5hGey2Jh4NDv6gmeo1LkMeiKrLJUUBk6Z"
        );
        assert_eq!(encode(&[0x00, 0x00, 0x28, 0x7f, 0xb4, 0xcd]), "11233QC4");
        assert_eq!(encode(&[]), "");
    }
}
