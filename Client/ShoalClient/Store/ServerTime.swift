/// What the server's clock shows now, as near as one contact allows to tell.
///
/// Known for certain are the server's time at the last contact and what this machine's clock showed then; it may have been
/// set since. The time is never before that of the last contact.
enum ServerTime {
    /// A clock that was so much behind was rather set since than left so for as long.
    private static let farBehind: Int64 = 30 * 86_400_000

    /// - Parameters:
    ///   - now: this machine's clock.
    ///   - offset: by how much the server's was ahead of it at the last contact.
    ///   - contact: when the server answered last, by its clock; 0 if it never did.
    static func now(_ now: Int64, offset: Int64, contact: Int64) -> Int64 {
        if contact == 0 { return now &+ offset }
        let step = (contact &- offset) &- now
        let isPutRight =
            step > 0
            // Set back by so much as it was wrong, and not by some seconds as clocks are all day.
            ? step.magnitude >= offset.magnitude / 2
            : offset >= farBehind && now >= contact
        return max(contact, isPutRight ? now : now &+ offset)
    }
}
