//! Seeded clients that write down what they did and what they were promised.
