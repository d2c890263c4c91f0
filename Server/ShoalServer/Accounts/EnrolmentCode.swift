import Crypto

/// A code that a person types once to enroll a replica: 60 random bits as XXXX-XXXX-XXXX in Crockford's base32.
public enum EnrolmentCode {
    private static let alphabet = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ".utf8)
    private static let length = 12
    /// How long a code can be used: a day, in milliseconds.
    public static let lifetime: Int64 = 86_400_000

    /// Makes a code of 12 random bytes, of each the lower five bits.
    static func make(_ random: [UInt8]) -> String {
        var output: [UInt8] = []
        for (index, byte) in random.prefix(length).enumerated() {
            if index > 0, index % 4 == 0 { output.append(UInt8(ascii: "-")) }
            output.append(alphabet[Int(byte & 31)])
        }
        return String(decoding: output, as: UTF8.self)
    }

    static let randomBytes = length

    /// SHA-256 of the code as it was meant: case, separators and look-alikes (I, L, O) do not matter; nil if it is not
    /// one.
    static func hash(_ typed: String) -> [UInt8]? {
        var meant: [UInt8] = []
        for byte in typed.utf8 where byte != UInt8(ascii: "-") && byte != UInt8(ascii: " ") {
            let upper = (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) ? byte - 32 : byte
            let character: UInt8 =
                switch upper {
                case UInt8(ascii: "I"), UInt8(ascii: "L"): UInt8(ascii: "1")
                case UInt8(ascii: "O"): UInt8(ascii: "0")
                default: upper
                }
            guard alphabet.contains(character), meant.count < length else { return nil }
            meant.append(character)
        }
        return meant.count == length ? Array(SHA256.hash(data: meant)) : nil
    }
}

/// The key that a client draws at enrolment and shows with every request: 32 random bytes in base64url.
enum BearerKey {
    static let length = 32

    /// SHA-256 of the key's bytes; nil if it is not in form.
    static func hash(_ text: String) -> [UInt8]? {
        guard text.utf8.count <= 64, let bytes = Base64URL.decode(text), bytes.count == length else { return nil }
        return Array(SHA256.hash(data: bytes))
    }
}
