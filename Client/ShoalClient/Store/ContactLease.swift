/// For how long a replica may go on without the server's word, which might be that its device was revoked.
///
/// Times are the server's as far as this machine knows them. What counts is the latest time ever seen since the last contact:
/// a clock that is set back gains nothing, and one that jumped ahead by mistake is mended by one contact, which begins anew.
struct ContactLease: Hashable, Sendable {
    private static let day: Int64 = 86_400_000
    /// The time seen is stored when it has gone on by so much.
    private static let step: Int64 = 3_600_000

    /// Days; nil while no server has named any.
    var days: Int?
    /// When the server answered last, by its clock.
    var contact: Int64 = 0
    /// The latest time seen since.
    var seen: Int64 = 0

    /// A server has answered.
    ///
    /// - Parameter days: what it says; an older server says nothing, and what another said still holds.
    mutating func renew(at serverTime: Int64, days: Int?) {
        self.days = days ?? self.days
        contact = serverTime
        seen = serverTime
    }

    /// The latest time seen, now included.
    ///
    /// - Parameters:
    ///   - now: this machine's clock.
    ///   - offset: by how much the server's was ahead of it at the last contact.
    func latest(now: Int64, offset: Int64) -> Int64 {
        max(seen, ServerTime.now(now, offset: offset, contact: contact))
    }

    /// Whether the server must be asked before anything is shown.
    func isExpired(now: Int64, offset: Int64) -> Bool {
        guard let days else { return false }
        let (age, overflow) = latest(now: now, offset: offset).subtractingReportingOverflow(contact)
        return overflow || age > Int64(days) * Self.day
    }

    /// Notes the time.
    ///
    /// - Returns: whether it is worth being stored.
    func isWorthStoring(now: Int64, offset: Int64) -> Bool {
        guard days != nil else { return false }
        let (gain, overflow) = latest(now: now, offset: offset).subtractingReportingOverflow(seen)
        return overflow || gain >= Self.step
    }
}
