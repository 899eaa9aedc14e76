// "List a class" with Express and Prisma: a bearer token, one query, JSON.
const express = require("express");
const jwt = require("jsonwebtoken");
const { PrismaPg } = require("@prisma/adapter-pg");
const { PrismaClient } = require("./generated");

const { PORT, DATABASE_URL, TOKEN_SECRET } = process.env;
const adapter = new PrismaPg({ connectionString: DATABASE_URL, max: 5 }, { schema: "academic" });
const prisma = new PrismaClient({ adapter });
const app = express();

app.use((request, response, next) => {
  try {
    const token = (request.headers.authorization || "").replace(/^Bearer /, "");
    request.caller = jwt.verify(token, TOKEN_SECRET, { algorithms: ["HS256"] });
    next();
  } catch {
    response.status(401).json({ title: "Who are you?" });
  }
});

app.get("/api/v1/students", async (request, response, next) => {
  try {
    const today = new Date();
    const school_id = request.caller.school;
    const enrolled = {
      class_id: request.query.class_id,
      starts_on: { lte: today },
      OR: [{ ends_on: null }, { ends_on: { gte: today } }],
    };
    const items = await prisma.student.findMany({
      where: { school_id, is_active: true, enrolments: { some: enrolled } },
      select: { id: true, given_name: true, family_name: true, email: true, grade: true },
      orderBy: [{ family_name: "asc" }, { given_name: "asc" }, { id: "asc" }],
      take: 100,
    });
    response.json({ items, next: null });
  } catch (error) {
    next(error);
  }
});

app.listen(Number(PORT), "127.0.0.1");
