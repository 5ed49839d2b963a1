import { Client, PhotoLostError } from "@facematch/client";

export const client = new Client("localhost:1");
export const isLost = (error: unknown): boolean => error instanceof PhotoLostError;
