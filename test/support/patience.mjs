import { jest } from '@jest/globals';

// A start takes a quarter of a second on an idle machine, and ten on a busy one: a test is wrong or right, not late.
jest.setTimeout(180_000);
