/// Why a document was refused, and where.
///
/// A refused document is refused for good: sending the same bytes again gives the same error. The text carries no
/// bytes of the input, so that it may be logged and sent back to a peer.
public struct JSONError: Error, Equatable, Sendable {
    /// The byte of the document at which reading stopped, from 0; the document's length when it ended too early.
    public var offset: Int
    public var reason: Reason

    public init(offset: Int, reason: Reason) {
        self.offset = offset
        self.reason = reason
    }

    public enum Reason: Equatable, Sendable {
        /// A byte that the grammar of RFC 8259 does not allow here.
        case unexpectedByte
        /// The document ends inside a value.
        case truncated
        /// Something other than white space follows the document.
        case trailingBytes
        /// An object holds the same key twice, compared after unescaping.
        case duplicateKey
        /// Overlong, surrogate, beyond U+10FFFF, or cut (RFC 3629 §4).
        case invalidUTF8
        /// A backslash with something else than RFC 8259 §7 lists.
        case invalidEscape
        /// Half of a surrogate pair written as `\uXXXX`.
        case loneSurrogate
        /// `\u0000`: valid JSON, and refused in text by this protocol because PostgreSQL cannot hold it.
        case nulInText
        /// A byte below 0x20 that is not escaped.
        case controlCharacter
        /// An integer outside of the range asked for.
        case numberOutOfRange
        /// A number with a fraction or an exponent, with leading zeros, or `-0`, where an integer is expected.
        case notAnInteger
        /// More arrays and objects inside each other than the reader allows.
        case tooDeep(limit: Int)
        /// More elements in an array than the caller allows.
        case tooMany(limit: Int)
        /// A text or a value of more bytes than the caller allows.
        case tooLong(limit: Int)
        /// A value of another type than the caller expects.
        case wrongType(expected: JSONReader.Kind)
        /// The caller did not read the value it was shown: a fault of the program, not of the document.
        case unreadValue
        /// A key that this version does not know, where unknown keys are refused.
        case unknownKey
        /// A key that the object must have.
        case missingKey(String)
        /// Valid JSON that breaks a rule of the protocol; the text says which.
        case invalid(String)
    }
}

extension JSONError: CustomStringConvertible {
    public var description: String { "at byte \(offset): \(reason)" }
}

extension JSONError.Reason: CustomStringConvertible {
    public var description: String {
        switch self {
        case .unexpectedByte: "this byte is not allowed here."
        case .truncated: "the document ends too early."
        case .trailingBytes: "something follows the end of the document."
        case .duplicateKey: "the object has this key already."
        case .invalidUTF8: "the text is not valid UTF-8."
        case .invalidEscape: "the escape sequence is not valid."
        case .loneSurrogate: "half of a surrogate pair stands alone."
        case .nulInText: "text must not contain U+0000."
        case .controlCharacter: "a control character must be escaped."
        case .numberOutOfRange: "the number is out of range."
        case .notAnInteger: "an integer is expected, without fraction, exponent, leading zeros or negative zero."
        case .tooDeep(let limit): "values are nested deeper than \(limit) levels."
        case .tooMany(let limit): "the array has more than \(limit) elements."
        case .tooLong(let limit): "the value is longer than \(limit) bytes."
        case .wrongType(let expected): "a value of type \(expected) is expected."
        case .unreadValue: "the program left this value unread."
        case .unknownKey: "this key is not known here."
        case .missingKey(let key): "the key \"\(key)\" is missing."
        case .invalid(let rule): rule.hasSuffix(".") ? rule : rule + "."
        }
    }
}
