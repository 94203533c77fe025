// What a backend can do at most: figures of steps are measured against it.
#pragma once

namespace sluice {

// Holds the memory that it reads. Other work only slows it down: of several runs the best is the machine's,
// and a single one that moment's.
class CeilingMeter {
public:
    CeilingMeter() = default;
    CeilingMeter(const CeilingMeter&) = delete;
    CeilingMeter& operator=(const CeilingMeter&) = delete;
    virtual ~CeilingMeter() = default;

    // Bytes a second of one pass over all of the memory.
    virtual double read_rate() const = 0;
    // Operations a second, of the instruction that products are made of.
    virtual double multiply_rate() const = 0;
};

}  // namespace sluice
