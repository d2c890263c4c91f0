/// The members of an object that stand in a fixed order, because the first ones say how long the others are.
///
/// A column read before its length is known would later be read beyond its end, so a member out of its order is refused.
struct MemberOrder {
    private let names: [StaticString]
    private var next = 0

    init(_ names: [StaticString]) { self.names = names }

    /// Checks that `key` is one of the members and that none that follows it came before.
    mutating func take(_ key: JSONKey, _ reader: JSONReader) throws {
        guard let place = names.firstIndex(where: { key == $0 }) else { throw reader.error(.unknownKey) }
        guard place >= next else { throw reader.error(.invalid("the member stands out of its order")) }
        next = place + 1
    }
}
